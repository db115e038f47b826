"""The tailnet's policy lets through what the doors say, and nothing else."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.doors import Door, Who, doors
from fleet.kinds import MAC_ROLES
from fleet.model import Addresses, Fleet, Host, Operator, Role, load_fleet
from fleet.policy import GROUP, STRANGERS, Policy, policy
from fleet.settings import settings_for
from fleet.target import ROOT
from tests.golden import FLEET
from tests.unit.fleet.tailnet import GUEST, Device, Tailnet, devices

OTHER_PORTS = {1, 80, 443, 65535}
NOBODY = Operator(name="nobody", ssh_keys=())
BOB = Operator(name="bob", login="bob@example.com", ssh_keys=())


@cache
def golden() -> Fleet:
    return load_fleet(FLEET)


def changed(fleet: Fleet, hosts: dict[str, dict[str, Any]], **more: Any) -> Fleet:
    new = [host.model_copy(update=hosts.get(host.name, {})) for host in fleet.hosts]
    return fleet.model_copy(update={"hosts": tuple(new), **more})


def alone() -> Fleet:
    return golden().model_copy(update={"hosts": (golden().orchestrator,)})


def unlearned() -> Fleet:
    return changed(golden(), {host.name: {"addresses": Addresses()} for host in golden().hosts})


FLEETS = {
    "golden": golden(),
    "repository": load_fleet(ROOT / "fleet.yaml"),
    "scheduler on a Pi": golden().model_copy(update={"scheduler": "rpi2"}),
    "scheduler on a workstation": golden().model_copy(update={"scheduler": "windows-laptop"}),
    "no operators": golden().model_copy(update={"operators": ()}),
    "operators without login": golden().model_copy(update={"operators": (NOBODY,)}),
    "two operators": golden().model_copy(update={"operators": (*golden().operators, NOBODY, BOB)}),
    "only an orchestrator": alone(),
    "nothing learned": unlearned(),
    "one Pi on another SSH port": changed(
        golden(), {"rpi1": {"ssh": golden().orchestrator.ssh.model_copy(update={"port": 2022})}}
    ),
    "workstation without IPv6": changed(
        golden(), {"macbook2": {"addresses": Addresses(tailnet="100.101.0.4")}}
    ),
    "scheduler on a Pi that is not learned": changed(
        golden(), {"rpi2": {"addresses": Addresses()}}, scheduler="rpi2"
    ),
}
every_fleet = pytest.mark.parametrize("fleet", FLEETS.values(), ids=FLEETS)


def may(fleet: Fleet, src: Host, door: Door) -> bool:
    """Whether the doors let a host through in the tailnet."""
    if door.who is Who.ORCHESTRATOR or door.dispatch:
        return src == fleet.orchestrator
    return door.who is not Who.ANYWHERE


def judge(fleet: Fleet, tailnet: Tailnet) -> None:
    """Every host and person is let through exactly where the doors say so."""
    unknown = Policy(fleet).left_out
    ports = OTHER_PORTS | {door.port for host in fleet.hosts for door in doors(fleet, host)}
    logins = [one.login for one in fleet.operators if one.login]
    for host in fleet.hosts:
        theirs = {door.port: door for door in doors(fleet, host)}
        for port in ports:
            door = theirs.get(port)
            assert tailnet.reaches(GUEST, host.name, port) == set()
            comers = {
                other.name: door is not None and may(fleet, other, door)
                for other in fleet.hosts
                if other != host  # what a host says to itself does not go through the tailnet
            }
            people = door is not None and (door.operators or door.who is Who.TAILNET)
            for name, want in {**comers, **dict.fromkeys(logins, people)}.items():
                got = tailnet.reaches(name, host.name, port)
                what = f"{name} to {host.name}:{port}"
                assert got <= ({4, 6} if want else set()), what
                if not unknown.keys() & {host.name, name}:
                    assert got == ({4, 6} if want else set()), what


@every_fleet
def test_the_grants_are_the_doors(fleet: Fleet) -> None:
    judge(fleet, Tailnet(policy(fleet), devices(fleet)))


@every_fleet
@pytest.mark.parametrize("owner", [GUEST, "alice@example.com"])
def test_the_tests_hold_whoever_the_workstations_belong_to(fleet: Fleet, owner: str) -> None:
    assert Tailnet(policy(fleet), devices(fleet, owner)).failures() == []


@every_fleet
def test_nothing_is_for_everybody(fleet: Fleet) -> None:
    for grant in policy(fleet)["grants"]:
        assert not any("*" in one or "autogroup" in one for one in grant["src"] + grant["dst"])
        assert grant["ip"]
        assert all(one.startswith("tcp:") and one[4:].isdigit() for one in grant["ip"])


def test_an_agent_that_nobody_knows_is_reached_by_its_tag_or_not_at_all() -> None:
    fleet, agent = golden(), settings_for(Role.PI.value).agent_port
    left = Device("left", ("100.104.0.1", "fd7a:115c:a1e0:4::1"), tag="tag:pi")
    theirs = Device("theirs", ("100.104.0.2", "fd7a:115c:a1e0:4::2"), login=GUEST)
    net = Tailnet(policy(fleet), devices(fleet) | {one.name: one for one in (left, theirs)})
    boss = fleet.orchestrator.name
    assert net.reaches(boss, "left", agent) == {4, 6}
    assert net.reaches(boss, "theirs", agent) == set()
    for other in net.devices.keys() - {boss}:
        assert net.reaches(other, "left", agent) == set()
    own = net.with_grant(src=["tag:orchestrator"], dst=[GUEST], ip=[f"tcp:{agent}"])
    assert own.reaches(boss, "theirs", agent) == {4, 6}
    assert own.failures() == []


def test_every_door_has_a_test_that_accepts_and_one_that_denies() -> None:
    for name in ("golden", "scheduler on a Pi", "scheduler on a workstation", "two operators"):
        fleet = FLEETS[name]
        found = policy(fleet)
        net = Tailnet(found, devices(fleet))
        for verdict in ("accept", "deny"):
            tested = {
                (address, int(port))
                for test in found["tests"]
                for target in test.get(verdict, [])
                for selector, _, port in [target.rpartition(":")]
                for address in net.addresses(selector)
            }
            for host in fleet.hosts:
                for door in doors(fleet, host):
                    for address in net.devices[host.name].addresses:
                        assert (address, door.port) in tested, f"{name}: {host.name} {door.name}"


def test_tests_find_a_grant_that_is_missing() -> None:
    net = Tailnet(policy(golden()), devices(golden()))
    assert len(net.policy["grants"]) > 4
    for number in range(len(net.policy["grants"])):
        assert net.without_grant(number).failures()


def test_tests_find_a_grant_too_many() -> None:
    net = Tailnet(policy(golden()), devices(golden()))
    assert net.with_grant(src=["*"], dst=["*"], ip=["*"]).failures()
    for wide in ("*", "tag:pi", "agentfleet-macbook2-v4", "agentfleet-macbook2-v6", GROUP):
        assert net.with_grant(src=[wide], dst=["tag:orchestrator"], ip=["tcp:3284"]).failures()


def test_the_judge_finds_what_differs_from_the_doors() -> None:
    net = Tailnet(policy(golden()), devices(golden()))
    for number, grant in enumerate(net.policy["grants"]):
        if grant["src"] != ["tag:orchestrator"] or grant["dst"] != ["tag:orchestrator"]:
            with pytest.raises(AssertionError):
                judge(golden(), net.without_grant(number))
    with pytest.raises(AssertionError):
        judge(golden(), net.with_grant(src=["tag:pi"], dst=["tag:pi"], ip=["tcp:3284"]))


def test_what_one_host_of_a_tag_offers_is_not_opened_on_the_others() -> None:
    fleet = FLEETS["scheduler on a Pi"]
    grants = {tuple(one["ip"]): one for one in policy(fleet)["grants"]}
    assert grants["tcp:8765",]["dst"] == ["agentfleet-rpi2-v4", "agentfleet-rpi2-v6"]
    assert "tag:pi" in grants["tcp:10245",]["dst"], "what all of them offer goes to the tag"


def test_what_has_no_address_yet_is_left_out_and_named() -> None:
    both = "IPv4 and IPv6"
    workstations, relay = ("macbook2", "windows-desktop", "windows-laptop"), "rpi3"
    assert Policy(unlearned()).left_out == dict.fromkeys((*workstations, relay), both)
    assert Policy(FLEETS["workstation without IPv6"]).left_out == {"macbook2": "IPv6"}
    assert Policy(FLEETS["scheduler on a Pi that is not learned"]).left_out == {"rpi2": both}
    assert Policy(golden()).left_out == {}


def test_a_tag_that_no_device_is_known_to_have_is_in_no_test() -> None:
    assert "tests" not in policy(unlearned())
    assert "hosts" not in policy(unlearned())
    learned = {host.name: {"addresses": host.addresses} for host in golden().with_role(Role.PI)}
    some = changed(unlearned(), learned)
    text = json.dumps(policy(some)["tests"])
    assert "tag:pi" in text
    assert "tag:headless-mac" not in text


def test_owners_of_tags() -> None:
    tags = ["tag:orchestrator", "tag:headless-mac", "tag:pi"]
    assert policy(golden())["tagOwners"] == {tag: [GROUP] for tag in tags}
    assert policy(golden())["groups"] == {GROUP: ["alice@example.com"]}
    for name in ("no operators", "operators without login"):
        assert policy(FLEETS[name])["tagOwners"] == {tag: ["autogroup:admin"] for tag in tags}
        assert "groups" not in policy(FLEETS[name])
        assert GROUP not in json.dumps(policy(FLEETS[name]))
    assert policy(FLEETS["two operators"])["groups"] == {
        GROUP: ["alice@example.com", "bob@example.com"]
    }
    assert list(policy(alone())["tagOwners"]) == ["tag:orchestrator"]


def test_no_name_of_a_host_makes_its_alias_another_hosts() -> None:
    names = {"macbook2": "a", "windows-desktop": "a-v4", "windows-laptop": "stranger4"}
    fleet = changed(golden(), {old: {"name": new} for old, new in names.items()})
    found = policy(fleet)["hosts"]
    assert len(found) == 2 * len((*names, "the relay")) + len(STRANGERS)
    assert len(set(found.values())) == len(found)
    judge(fleet, Tailnet(policy(fleet), devices(fleet)))


def test_a_capability_that_is_left_out_changes_nothing() -> None:
    fleet = changed(golden(), {"rpi1": {"without": ("icecream",)}})
    assert policy(fleet) == policy(golden())


def test_the_judge_knows_groups_tags_and_aliases() -> None:
    parts = {
        "groups": {"group:a": ["a@example.com"]},
        "tagOwners": {"tag:t": ["group:a"]},
        "hosts": {"h": "100.64.0.3"},
        "grants": [{"src": ["group:a", "h"], "dst": ["tag:t"], "ip": ["tcp:22"]}],
        "tests": [{"src": "h", "accept": ["tag:t:22"], "deny": ["tag:t:23"]}],
    }
    three = {
        "a": Device("a", ("100.64.0.1", "fd7a:115c:a1e0::1"), login="a@example.com"),
        "t": Device("t", ("100.64.0.2", "fd7a:115c:a1e0::2"), tag="tag:t"),
        "h": Device("h", ("100.64.0.3", "fd7a:115c:a1e0::3"), login="b@example.com"),
    }
    net = Tailnet(parts, three)
    assert net.reaches("a", "t", 22) == {4, 6}
    assert net.reaches("h", "t", 22) == {4}, "an alias is one address"
    assert net.reaches("t", "a", 22) == net.reaches("a", "t", 23) == set()
    assert net.failures() == []
    wrong = {**parts, "tests": [{"src": "h", "accept": ["tag:t:23"], "deny": ["tag:t:22"]}]}
    assert Tailnet(wrong, three).failures() == ["h accept tag:t:23", "h deny tag:t:22"]
    with pytest.raises(LookupError):
        net.addresses("tag:other")


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """Some of the golden fleet's hosts, some of their addresses, any scheduler and operators."""
    others = [host for host in golden().hosts if host.role is not Role.ORCHESTRATOR]
    hosts = [golden().orchestrator, *draw(st.lists(st.sampled_from(others), unique=True))]
    changes = {}
    for host in hosts:
        known, port = draw(st.tuples(st.booleans(), st.booleans())), draw(st.sampled_from([22, 24]))
        full = host.addresses
        changes[host.name] = {
            "addresses": Addresses(
                tailnet=full.tailnet if known[0] else None,
                tailnet6=full.tailnet6 if known[1] else None,
            ),
            "ssh": host.ssh.model_copy(update={"port": port}),
        }
    some = golden().model_copy(update={"hosts": tuple(hosts)})
    scheduler = draw(st.sampled_from([h.name for h in hosts if h.role not in MAC_ROLES]))
    people = draw(st.lists(st.sampled_from([*golden().operators, NOBODY, BOB]), unique=True))
    return changed(some, changes, scheduler=scheduler, operators=tuple(people))


@settings(max_examples=60, deadline=None)
@given(fleets(), st.sampled_from([GUEST, "alice@example.com", "bob@example.com"]))
def test_any_fleet(fleet: Fleet, owner: str) -> None:
    found = policy(fleet)
    judge(fleet, Tailnet(found, devices(fleet)))
    assert Tailnet(found, devices(fleet, owner)).failures() == []
