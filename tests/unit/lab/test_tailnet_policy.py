"""The policy: who sees whom, what is let through, and the packet filter that follows."""

from __future__ import annotations

from typing import Any

import pytest

from lab.tailnet.nodes import LOGIN, Node, Tailnet
from lab.tailnet.packets import filter_text
from lab.tailnet.policy import Policy, PolicyError, Ports, Subject, parse_ports

NOW = 0.0
OWNERS = {"tag:boss": ["group:us"], "tag:pi": ["autogroup:admin"]}
BOSS, PI = Subject(tags=("tag:boss",)), Subject(tags=("tag:pi",))
PERSON = Subject(owner=LOGIN, addresses=("100.64.77.102", "fd7a:115c:a1e0:4d::102"))
OTHER = Subject(owner="bob@example.com", addresses=("100.64.77.103",))


def policy(*grants: tuple[str, str, str], **more: Any) -> Policy:
    rules = [{"src": [src], "dst": [dst], "ip": [ip]} for src, dst, ip in grants]
    base = {"tagOwners": OWNERS, "groups": {"group:us": [LOGIN]}, "hosts": {"mac": "100.64.77.102"}}
    return Policy.of({**base, "grants": rules, **more})


@pytest.mark.parametrize(
    ("selector", "meant"),
    [
        ("*", {"boss", "pi", "person", "other"}),
        ("tag:pi", {"pi"}),
        ("autogroup:member", {"person", "other"}),
        ("autogroup:tagged", {"boss", "pi"}),
        ("group:us", {"person"}),
        (LOGIN, {"person"}),
        ("mac", {"person"}),
        ("100.64.77.103", {"other"}),
        ("100.64.77.0/24", {"person", "other"}),
    ],
)
def test_whom_a_selector_means(selector: str, meant: set[str]) -> None:
    subjects = {"boss": BOSS, "pi": PI, "person": PERSON, "other": OTHER}
    rules = policy()
    assert {name for name, one in subjects.items() if rules.matches(selector, one)} == meant


def test_a_grant_opens_its_ports_one_way_and_lets_both_see_each_other() -> None:
    rules = policy(("tag:boss", "tag:pi", "tcp:3284"))
    assert rules.allows(BOSS, PI, "tcp", 3284)
    assert not rules.allows(BOSS, PI, "udp", 3284)
    assert not rules.allows(BOSS, PI, "tcp", 3285)
    assert not rules.allows(PI, BOSS, "tcp", 3284)
    assert rules.connects(PI, BOSS)
    assert not rules.connects(PI, PERSON)


def test_ports_are_written_as_tailscale_has_them() -> None:
    found = {text: list(parse_ports(text)) for text in ("tcp:22", "udp:1-2", "icmp:*", "*", "53")}
    assert found == {
        "tcp:22": [Ports("tcp", 22, 22)],
        "udp:1-2": [Ports("udp", 1, 2)],
        "icmp:*": [Ports("icmp")],
        "*": [Ports("*")],
        "53": [Ports("tcp", 53, 53), Ports("udp", 53, 53)],
    }


@pytest.mark.parametrize("text", ["tcp", "tcp:", "tcp:9-1", "tcp:70000", "sctp:1", "tcp:a"])
def test_ports_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(PolicyError, match=text):
        policy(("*", "*", text))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"acls": []}, "not covered: acls"),
        ({"grants": [{"src": ["tag:no"], "dst": ["*"], "ip": ["*"]}]}, "'tag:no' is not known"),
        ({"grants": [{"src": ["group:no"], "dst": ["*"], "ip": ["*"]}]}, "'group:no' is not known"),
        ({"grants": [{"src": ["nobody"], "dst": ["*"], "ip": ["*"]}]}, "'nobody' is not known"),
        ({"grants": [{"src": ["*"], "dst": ["*"]}]}, "needs src, dst and ip"),
        ({"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"], "via": []}]}, "via is not covered"),
    ],
)
def test_what_cannot_be_in_force_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        policy(**wrong)


def test_tags_belong_to_people_and_groups() -> None:
    rules = policy()
    assert rules.owns(LOGIN, "tag:boss")
    assert not rules.owns("bob@example.com", "tag:boss")
    assert not rules.owns(LOGIN, "tag:nobodys")


def test_a_policy_that_fails_its_own_tests_is_refused() -> None:
    grant = ("tag:boss", "tag:pi", "tcp:3284")
    test = {"src": "tag:boss", "accept": ["tag:pi:3284"], "deny": ["tag:pi:22", "mac:3284"]}
    policy(grant, tests=[test])
    with pytest.raises(PolicyError, match=r"tag:boss to tag:pi:3284 \(tcp\): want accept, is den"):
        policy(tests=[test])
    with pytest.raises(PolicyError, match=r"tag:boss to tag:pi:22 .*: want deny, is accepted"):
        policy(("tag:boss", "tag:pi", "*"), tests=[test])


@pytest.fixture
def tailnet() -> Tailnet:
    it = Tailnet(77)
    for name, tags in (("boss", ["tag:boss"]), ("pi", ["tag:pi"]), ("mac", [])):
        it.join(f"machine of {name}", name, name, LOGIN, tags, NOW)
    return it


def online(tailnet: Tailnet) -> dict[str, Node]:
    return {f"t{index}": node for index, node in enumerate(tailnet.nodes, 1)}


def test_without_a_policy_only_strangers_and_false_addresses_are_dropped(tailnet: Tailnet) -> None:
    text = filter_text(tailnet, online(tailnet), NOW)
    assert 'iifname "t2" ip saddr != 100.64.77.101 drop' in text
    assert 'iifname "t2" ip6 saddr != { fd7a:115c:a1e0:4d::101, fe80::/10, :: } drop' in text
    assert 'iifname != { "t1", "t2", "t3" } drop' in text
    assert "dport" not in text
    assert not text.rstrip(" \n}").endswith("drop")


def test_an_empty_tailnet_lets_nothing_through(tailnet: Tailnet) -> None:
    assert "    ether type arp accept\n    drop\n" in filter_text(tailnet, {}, NOW)


def test_grants_become_rules_in_both_families(tailnet: Tailnet) -> None:
    tailnet.policy = {
        "tagOwners": {"tag:boss": [LOGIN], "tag:pi": [LOGIN]},
        "grants": [
            {"src": ["tag:boss"], "dst": ["tag:pi"], "ip": ["tcp:22", "tcp:20-30", "udp:53"]}
        ],
    }
    lines = [line.strip() for line in filter_text(tailnet, online(tailnet), NOW).splitlines()]
    for family, boss, pi in (
        ("ip", "100.64.77.100", "100.64.77.101"),
        ("ip6", "fd7a:115c:a1e0:4d::100", "fd7a:115c:a1e0:4d::101"),
    ):
        way, back = f"saddr {{ {boss} }} {family} daddr {{ {pi} }}", f"saddr {{ {pi} }} {family}"
        first = "tcp flags & (syn | ack) == syn accept"
        assert f"{family} {way} tcp dport {{ 20-30 }} {first}" in lines  # no overlap: nft minds
        assert f"{family} {way} udp dport {{ 53 }} accept" in lines
        assert f"{family} {back} daddr {{ {boss} }} udp sport {{ 53 }} accept" in lines
    pings = [line for line in lines if "l4proto icmp" in line]
    assert pings == [
        "ip saddr . ip daddr { 100.64.77.100 . 100.64.77.101, 100.64.77.101 . 100.64.77.100 } "
        "meta l4proto icmp accept"
    ]
    assert lines.index("ether type { ip, ip6 } drop") == len(lines) - 3, "the last rule"


def test_an_alias_means_its_address_and_not_the_nodes_other_one(tailnet: Tailnet) -> None:
    tailnet.policy = {
        "hosts": {"mac": "100.64.77.102"},
        "grants": [{"src": ["*"], "dst": ["mac"], "ip": ["tcp:22"]}],
    }
    text = filter_text(tailnet, online(tailnet), NOW)
    assert "ip daddr { 100.64.77.102 } tcp dport { 22 }" in text
    assert text.count("dport") == 1


def test_who_has_to_log_in_is_in_no_rule(tailnet: Tailnet) -> None:
    tailnet.policy = {"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}]}
    tailnet.nodes[2].logged_in = False
    assert "100.64.77.102" not in filter_text(tailnet, {}, NOW)
