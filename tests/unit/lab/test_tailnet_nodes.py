"""Who is in the tailnet: names, addresses, keys, logins, and what of it is on disk."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lab.tailnet import store
from lab.tailnet.nodes import DAY_S, LAST, LOGIN, Node, Refused, Tailnet, free_label

NOW = 1_000_000_000.0
OWNED = {"tagOwners": {"tag:pi": [LOGIN]}, "grants": []}


def join(tailnet: Tailnet, machine: str, hostname: str = "rpi1", *tags: str) -> Node:
    return tailnet.join(machine, hostname, hostname, LOGIN, tags, NOW)


def test_addresses_are_given_out_in_joining_order_in_both_families() -> None:
    tailnet = Tailnet(77)
    found = [tailnet.addresses(join(tailnet, name, name)) for name in ("a", "b")]
    assert found == [
        ("100.64.77.100", "fd7a:115c:a1e0:4d::100"),
        ("100.64.77.101", "fd7a:115c:a1e0:4d::101"),
    ]


def test_a_wiped_host_is_a_stranger_with_another_name_and_address() -> None:
    tailnet = Tailnet(77)
    join(tailnet, "before")
    after = join(tailnet, "after")
    assert (after.label, after.hostname) == ("rpi1-1", "rpi1")
    assert tailnet.ipv4(after) == "100.64.77.101"
    assert join(tailnet, "once more").label == "rpi1-2"


def test_a_machine_that_was_in_before_gets_its_place_back() -> None:
    tailnet = Tailnet(77)
    node = join(tailnet, "machine")
    node.logged_in = False
    assert node.needs_login(NOW)
    again = join(tailnet, "machine")
    assert again is node
    assert not again.needs_login(NOW)


def test_an_address_is_never_given_out_twice() -> None:
    tailnet = Tailnet(77)
    tailnet.nodes.remove(join(tailnet, "gone"))
    assert tailnet.ipv4(join(tailnet, "next")) == "100.64.77.101"
    tailnet.next_number = LAST + 1
    with pytest.raises(Refused, match="no addresses left"):
        join(tailnet, "one too many", "other")


def test_a_name_that_became_free_is_not_taken_by_itself() -> None:
    """As in reality: -1 stays until the node asks for another name."""
    tailnet = Tailnet(77)
    old, new = join(tailnet, "old"), join(tailnet, "new")
    tailnet.nodes.remove(old)
    tailnet.rename(new, "rpi1")
    assert new.label == "rpi1-1"
    tailnet.rename(new, "elsewhere")
    tailnet.rename(new, "rpi1")
    assert new.label == "rpi1"


@pytest.mark.parametrize(
    ("hostname", "label"),
    [("rpi1", "rpi1"), ("My Mac.local", "my-mac-local"), ("--", "node"), ("x" * 80, "x" * 63)],
)
def test_names_become_labels(hostname: str, label: str) -> None:
    assert free_label(hostname, set()) == label


def test_a_login_ends_after_180_days_and_that_of_a_tagged_node_never() -> None:
    tailnet = Tailnet(77)
    person, tagged = join(tailnet, "a", "a"), join(tailnet, "b", "b", "tag:pi")
    assert person.expires == NOW + 180 * DAY_S
    assert person.needs_login(NOW + 181 * DAY_S)
    assert not tagged.needs_login(NOW + 1e9)


def test_tags_need_an_owner_once_there_is_a_policy() -> None:
    tailnet = Tailnet(77)
    join(tailnet, "a", "a", "tag:any")  # a new tailnet allows everything
    tailnet.policy = OWNED
    join(tailnet, "b", "b", "tag:pi")
    with pytest.raises(Refused, match=r"^requested tags \[tag:x tag:y\] are invalid or not perm"):
        join(tailnet, "c", "c", "tag:x", "tag:pi", "tag:y")
    assert tailnet.of_machine("c") is None


def test_auth_keys_are_kept_as_digests_and_expire(tmp_path: Path) -> None:
    tailnet = Tailnet(77)
    first = store.new_key(tmp_path, tailnet)
    assert tailnet.key(first + "\n").owner == LOGIN
    second = store.new_key(tmp_path, tailnet)
    store.expire_key(tmp_path, tailnet)
    assert not tailnet.key(first).expired
    for wrong in (second, "", "tskey-auth-none"):
        with pytest.raises(Refused, match=r"^invalid key: API key does not exist$"):
            tailnet.key(wrong)
    store.save(tmp_path, tailnet)
    assert first not in (tmp_path / store.STATE).read_text()
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_what_is_on_disk_is_all_of_it(tmp_path: Path) -> None:
    tailnet = Tailnet(77, policy=OWNED)
    node = join(tailnet, "a", "a", "tag:pi")
    node.prefs, node.serve, node.wanted = {"ssh": True}, {"TCP": {"1": {}}}, False
    store.new_key(tmp_path, tailnet)
    store.save(tmp_path, tailnet)
    assert store.load(tmp_path, 77) == tailnet
    assert store.load(tmp_path / "nowhere", 78) == Tailnet(78)
