"""The stand-in of Tailscale on real lab hosts: joining, names, addresses, policy, identity."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.api import Lab
from lab.errors import LabError
from lab.tailnet.nodes import LOGIN
from tests.lab.joining import (
    WINDOWS,
    addresses,
    install,
    join,
    node,
    of_kind,
    state,
    status,
    tailscale,
    until,
    wipe,
)

pytestmark = pytest.mark.lab

KINDS = ("arch", "raspios", "brew", "port")
PORT = 7331


@pytest.fixture(autouse=True)
def _open(lab: Lab) -> Iterator[None]:
    """Every test begins in a tailnet that allows everything, with a key that is good."""
    lab.tailnet.policy(None)
    lab.tailnet.new_key()
    yield
    lab.tailnet.policy(None)


@pytest.fixture
def stranger(lab: Lab) -> Callable[[str], str]:
    """Make a host of a kind one that the tailnet has never seen."""

    def make(kind: str, nth: int = 0) -> str:
        host = of_kind(lab, kind, nth)
        install(lab, host)
        wipe(lab, host)
        for one in lab.tailnet.nodes():
            if one.host == host:
                lab.tailnet.remove(one.name)
        return host

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_a_host_joins(lab: Lab, stranger: Callable[..., str], kind: str) -> None:
    host = stranger(kind)
    assert "100.64." not in addresses(lab, host)
    join(lab, host, f"--advertise-tags=tag:{kind}")
    found, me = node(lab, host), status(lab, host)["Self"]
    assert (found.online, found.tags, found.owner) == (True, (f"tag:{kind}",), "")
    assert me["TailscaleIPs"] == [found.ipv4, found.ipv6]
    assert me["DNSName"] == f"{host}.lab.ts.net."
    assert {found.ipv4, found.ipv6} <= set(addresses(lab, host).replace("/", " ").split())
    assert f"{found.ipv4} {host}.lab.ts.net {host}\n" in lab.run(host, "cat /etc/hosts").stdout


def test_windows_is_in_already_and_its_own_person_s(lab: Lab) -> None:
    host = of_kind(lab, "wsl")
    found = node(lab, host)
    assert (found.name, found.owner, found.online) == (host, LOGIN, True)
    assert status(lab, host)["Self"]["OS"] == "windows"
    assert lab.run(host, "command -v tailscale tailscaled", check=False).stdout == ""
    blind = lab.run(host, WINDOWS.partition(" ")[2] + " ip", check=False)
    assert (blind.returncode, "connect failed" in blind.stderr) == (1, True)


def test_windows_outlives_its_distribution(lab: Lab) -> None:
    host = of_kind(lab, "wsl")
    before = node(lab, host)
    lab.reset([host])
    until(lambda: lab.tailnet.nodes() != [] and node(lab, host) == before)


def test_who_is_not_root_may_look_and_change_nothing(
    lab: Lab, stranger: Callable[..., str]
) -> None:
    host = stranger("raspios")
    join(lab, host)
    before = node(lab, host)
    as_admin = "sudo -n -u admin tailscale"
    assert before.ipv4 in lab.run(host, f"{as_admin} status").stdout
    refused = lab.run(host, f"{as_admin} down", check=False)
    assert refused.returncode == 1
    assert "Access denied: prefs write access denied" in refused.stderr
    usurped = (
        "curl -s --unix-socket /run/standin-tailscale/socket -d other http://tailscaled/daemon"
    )
    lab.run(host, f"sudo -n -u admin {usurped}")
    assert node(lab, host) == before


def test_hosts_find_each_other_by_name(lab: Lab, stranger: Callable[..., str]) -> None:
    here, there, window = stranger("arch"), stranger("raspios"), of_kind(lab, "wsl")
    join(lab, here)
    join(lab, there)
    for name in (there, f"{there}.lab.ts.net", window):
        lab.run(here, f"ping -4 -c1 -W5 {name} && ping -6 -c1 -W5 {name}")
    lab.run(window, f"ping -c1 -W5 {here}")
    assert f"pong from {there} " in tailscale(lab, here, "ping", "-c", "1", there).stdout
    asked = tailscale(lab, here, "whois", "--json", f"{node(lab, window).ipv4}:50000").stdout
    assert json.loads(asked)["UserProfile"]["LoginName"] == LOGIN


def test_an_expired_key_stops_strangers_only(lab: Lab, stranger: Callable[..., str]) -> None:
    inside, outside = stranger("raspios"), stranger("raspios", 1)
    join(lab, inside)
    before = node(lab, inside)
    lab.tailnet.expire_key()
    join(lab, inside)
    assert node(lab, inside) == before
    refused = join(lab, outside, check=False)
    assert refused.returncode == 1
    assert refused.stderr == "backend error: invalid key: API key does not exist\n"
    assert state(lab, outside) == "NeedsLogin"
    assert "100.64." not in addresses(lab, outside)


def test_a_wiped_host_is_another_node(lab: Lab, stranger: Callable[..., str]) -> None:
    host = stranger("raspios")
    join(lab, host)
    old = node(lab, host)
    wipe(lab, host)
    join(lab, host)
    new = node(lab, host)
    assert (new.name, new.online) == (f"{host}-1", True)
    assert new.ipv4 != old.ipv4
    assert status(lab, host)["Self"]["DNSName"] == f"{host}-1.lab.ts.net."
    assert [one.online for one in lab.tailnet.nodes() if one.name == host] == [False]
    assert old.ipv4 not in addresses(lab, host)
    lab.tailnet.remove(host)
    assert host not in [one.name for one in lab.tailnet.nodes()]


def test_who_is_removed_has_to_log_in_again(lab: Lab, stranger: Callable[..., str]) -> None:
    host = stranger("raspios")
    join(lab, host)
    lab.tailnet.remove(host)
    assert state(lab, host) == "NeedsLogin"
    assert "100.64." not in addresses(lab, host)


@pytest.mark.parametrize("kind", ["raspios", "brew"])
def test_an_identity_outlives_a_restart_and_a_reboot(
    lab: Lab, stranger: Callable[..., str], kind: str
) -> None:
    host = stranger(kind)
    join(lab, host)
    before = node(lab, host)
    if kind == "raspios":
        lab.run(host, "systemctl stop tailscaled")
        until(lambda: not node(lab, host).online)
        assert before.ipv4 not in addresses(lab, host)
        asked = tailscale(lab, host, "status", "--json", check=False)
        assert asked.returncode == 1
        assert "it doesn't appear to be running" in asked.stderr
        lab.run(host, "systemctl start tailscaled")
        assert node(lab, host) == before
    lab.poweroff(host)
    until(lambda: not node(lab, host).online)
    lab.poweron(host)
    until(lambda: node(lab, host) == before, 40)
    assert before.ipv4 in addresses(lab, host)


def test_logout_and_down_take_a_host_out(lab: Lab, stranger: Callable[..., str]) -> None:
    host, other = stranger("raspios"), stranger("arch")
    join(lab, other)
    join(lab, host)
    before = node(lab, host)
    for verb, after in (("down", "Stopped"), ("logout", "NeedsLogin")):
        tailscale(lab, host, verb)
        assert state(lab, host) == after
        assert "100.64." not in addresses(lab, host) + lab.run(host, "cat /etc/hosts").stdout
        assert lab.run(other, f"ping -c1 -W1 {before.ipv4}", check=False).returncode == 1
        join(lab, host)
        after_it = node(lab, host)
        assert (after_it.name, after_it.ipv4, after_it.online) == (host, before.ipv4, True)
        lab.run(other, f"ping -c1 -W5 {before.ipv4}")


def test_a_host_that_has_not_joined_cannot_pretend(lab: Lab, stranger: Callable[..., str]) -> None:
    liar, other = stranger("raspios"), stranger("arch")
    join(lab, other)
    lab.run(liar, "ip link set tailscale0 up; ip address add 100.64.0.9/10 dev tailscale0")
    knock = f"ping -c1 -W2 {node(lab, other).ipv4}"
    assert lab.run(liar, knock, check=False).returncode == 1
    join(lab, liar)
    lab.run(liar, knock)


def test_the_policy_filters_the_tailnet_and_nothing_else(
    lab: Lab, stranger: Callable[..., str]
) -> None:
    here, there = stranger("raspios"), stranger("arch")
    join(lab, here)
    join(lab, there, "--advertise-tags=tag:there")
    target, lan = node(lab, there), lab.fleet.host(there).addresses.lan
    unit = f"systemd-run -q --unit standin-nc{{}} nc {{}} -lk {PORT}"
    lab.run(there, f"{unit.format(4, '-4')}; {unit.format(6, '-6')}")

    def open_at(address: str | None) -> bool:
        return lab.run(here, f"nc -z -w2 {address} {PORT}", check=False).returncode == 0

    def reached() -> tuple[bool, bool, bool]:
        return open_at(target.ipv4), open_at(target.ipv6), open_at(lan)

    def rule(port: int) -> dict[str, Any]:
        grant = {"src": ["autogroup:member"], "dst": ["tag:there"], "ip": [f"tcp:{port}"]}
        return {"tagOwners": {"tag:there": ["autogroup:admin"]}, "grants": [grant]}

    try:
        until(lambda: reached() == (True, True, True))
        lab.tailnet.policy(rule(PORT))
        assert reached() == (True, True, True)
        lab.tailnet.policy(rule(PORT + 1))
        assert reached() == (False, False, True)
        lab.run(here, f"ping -c1 -W5 {target.ipv4}")  # they still see each other
        lab.tailnet.policy({"grants": []})
        assert lab.run(here, f"ping -c1 -W1 {target.ipv4}", check=False).returncode == 1
        assert there not in lab.run(here, "cat /etc/hosts").stdout
        with pytest.raises(LabError, match=r"test\(s\) failed"):
            lab.tailnet.policy({**rule(1), "tests": [{"src": LOGIN, "deny": ["tag:there:1"]}]})
    finally:
        lab.run(there, "systemctl stop standin-nc4 standin-nc6", check=False)


def test_tags_need_an_owner(lab: Lab, stranger: Callable[..., str]) -> None:
    host = stranger("raspios")
    lab.tailnet.policy({"tagOwners": {"tag:pi": ["autogroup:admin"]}, "grants": []})
    refused = join(lab, host, "--advertise-tags=tag:boss", check=False)
    said = "backend error: requested tags [tag:boss] are invalid or not permitted\n"
    assert (refused.returncode, refused.stderr) == (1, said)
    join(lab, host, "--advertise-tags=tag:pi")


def test_hosts_come_back_when_the_tailnet_itself_was_gone(
    lab: Lab, stranger: Callable[..., str]
) -> None:
    host = stranger("raspios")
    join(lab, host)
    before = node(lab, host)
    lab.tailnet.stop()
    with pytest.raises(LabError, match="is off: `fleet lab"):
        lab.tailnet.nodes()
    assert tailscale(lab, host, "ip", check=False).returncode == 1
    lab.up([host])
    until(lambda: node(lab, host) == before)


def test_a_persons_login_ends(lab: Lab, stranger: Callable[..., str]) -> None:
    host = stranger("raspios")
    join(lab, host)
    lab.tailnet.expire_node(host, 10)
    assert state(lab, host) == "Running"
    lab.tailnet.expire_node(host, -1)
    assert state(lab, host) == "NeedsLogin"
    assert "100.64." not in addresses(lab, host)
    join(lab, host)
    assert state(lab, host) == "Running"
