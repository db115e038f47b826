"""The wall's rules: who is let in where, in nft's words and in pf's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from deploys import firewall
from fleet.doors import Door, Who, doors
from fleet.lock import read_artifacts_lock
from fleet.model import Fleet, load_fleet
from fleet.target import ROOT
from fleet.view import HostView

GOLDEN = ROOT / "tests/golden/fleet.yaml"


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return load_fleet(GOLDEN)


def views(fleet: Fleet) -> Iterator[HostView]:
    lock = read_artifacts_lock(ROOT / "artifacts.lock.yaml")
    yield from (HostView(fleet, host, lock) for host in fleet.hosts)


def rules(view: HostView) -> str:
    (file,) = [f for f in firewall.resources(view).files if "/wall." in f.path]
    return file.content.decode()


def accepted(text: str, *, mac: bool) -> dict[int, str]:
    """Port → everything that the rules say of who may come from the tailnet's interface."""
    pattern = (
        r"^pass in quick on tailnet0 inet6? .* from (\S+) to any port (\d+) no state"
        if mac
        else r'^ *iifname "tailnet0" ip6? saddr (\S+) th dport (\d+) accept'
    )
    found: dict[int, str] = {}
    for sources, port in re.findall(pattern, text, re.MULTILINE):
        found[int(port)] = f"{found.get(int(port), '')} {sources}"
    return found


def admits(text: str, sources: str, address: str) -> bool:
    """Whether an address is among sources: addresses, networks, and tables of the text."""
    for source in sources.split():
        name = source.strip("<>@")
        if name != source:
            table = re.search(
                rf"(?:table <{name}> const|set {name}) \{{[^}}]*?\{{?([^{{}}]*)\}}", text
            )
            listed = table[1] if table else ""
            if ip_address(address) in {
                ip_address(a) for a in re.findall(r"[0-9a-f.:]{7,}", listed)
            }:
                return True
        elif ip_address(address) in ip_network(source):
            return True
    return False


STRANGER = {4: "100.99.1.2", 6: "fd7a:115c:a1e0::dead"}  # in the tailnet, no host of the fleet
OUTSIDER = {4: "192.168.50.77", 6: "fd00::77"}


def expected(door: Door, fleet: Fleet, who: str) -> bool:
    if door.who is Who.ORCHESTRATOR:
        return who == fleet.orchestrator.name
    if door.who is Who.FLEET:
        return who not in ("stranger", "outsider")
    return who != "outsider"


def test_every_door_is_open_to_exactly_those_of_the_table(fleet: Fleet) -> None:
    for view in views(fleet):
        text, mac = rules(view), view.host.is_mac
        open_to = accepted(text, mac=mac)
        callers = {h.name: {4: h.addresses.tailnet, 6: h.addresses.tailnet6} for h in fleet.hosts}
        callers |= {"stranger": STRANGER, "outsider": OUTSIDER}  # type: ignore[dict-item]
        for door in doors(fleet, view.host):
            if door.who is Who.ANYWHERE:
                continue
            for who, addresses in callers.items():
                for address in addresses.values():
                    assert address
                    passes = admits(text, open_to.get(door.port, ""), address)
                    where = f"{who} ({address}) → {view.host.name} {door.name}"
                    assert passes is expected(door, fleet, who), where


def test_every_guarded_port_is_closed_to_the_rest(fleet: Fleet) -> None:
    for view in views(fleet):
        behind = [d.port for d in doors(fleet, view.host) if d.who is not Who.ANYWHERE]
        listed = "{ " + ", ".join(map(str, behind)) + " }"
        text = rules(view)
        if view.host.is_mac:
            last = text.strip().splitlines()[-1]
            assert (
                last == f"block return in quick proto {{ tcp udp }} from any to any port {listed}"
            )
        else:
            assert f"th dport {listed} jump doors" in text
            assert "reject with tcp reset\n        drop\n" in text


def test_ssh_comes_first(fleet: Fleet) -> None:
    """Whatever else the rules say."""
    for view in views(fleet):
        lines = [line.strip() for line in rules(view).splitlines()]
        ssh = next(i for i, line in enumerate(lines) if f"port {view.host.ssh.port} " in line)
        others = (i for i, line in enumerate(lines) if "jump" in line or line.startswith("block"))
        assert ssh < min(others)


def test_an_orchestrator_that_nobody_knows_yet_is_nobody(fleet: Fleet) -> None:
    blank = fleet.hosts[0].addresses.model_copy(update={"tailnet": None, "tailnet6": None})
    hosts = tuple(host.model_copy(update={"addresses": blank}) for host in fleet.hosts)
    for view in views(fleet.model_copy(update={"hosts": hosts})):
        text = rules(view)
        open_to = accepted(text, mac=view.host.is_mac)
        assert set(open_to) <= {8080, 8081}  # the whole tailnet's, whoever that is
        assert "# address none" in text


def test_other_accounts_of_the_orchestrator_reach_no_agent(fleet: Fleet) -> None:
    only = [view for view in views(fleet) if "{ 3284 } meta skuid" in rules(view)]
    assert [view.host.name for view in only] == [fleet.orchestrator.name]
    (line,) = [line for line in rules(only[0]).splitlines() if "{ 3284 } meta skuid" in line]
    admin = fleet.orchestrator.ssh.user
    assert f'!= {{ "root", "agentfleet-orchestrator", "{admin}" }} reject' in line


def test_an_agent_on_somebodys_own_machine_does_not_speak_for_them(fleet: Fleet) -> None:
    """The tailnet would say that it is them: by a rule on Linux; on a Mac a run says so."""
    everywhere = tuple(
        host.model_copy(update={"agent": host.agent.model_copy(update={"enabled": True})})
        for host in fleet.hosts
    )
    for agents in (fleet, fleet.model_copy(update={"hosts": everywhere})):
        for view in views(agents):
            own = view.host.is_agent and not view.settings.tailnet_tag
            mac = view.host.is_mac
            muted = 'skuid "claude-agent" tcp dport 8080 reject' in rules(view)
            assert muted == (own and not mac), view.host.name
            assert (firewall.SPEAKS in firewall.resources(view).remarks) == (own and mac)
            if muted:
                assert "claude-agent" in {user.name for user in firewall.resources(view).users}


def test_the_accounts_of_the_rules_are_made_before(fleet: Fleet) -> None:
    """nft refuses a name that nobody has, and then everything stays closed."""
    for view in views(fleet):
        named = set(re.findall(r'"([a-z-]+)"', " ".join(re.findall(r"skuid .*", rules(view)))))
        made = {user.name for user in firewall.resources(view).users}
        assert named <= made | {"root", view.host.ssh.user}
