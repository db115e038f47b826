"""What moves when the scheduler does, or the whole fleet: the right files, no others, and back."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fleet import reach
from fleet.difference import differing
from fleet.doors import doors
from fleet.model import Fleet, Host
from fleet.plan import view_of, wanted
from fleet.policy import Policy
from fleet.policymerge import rendered
from fleet.ssh import route
from fleet.target import Target
from fleet.toolchains import matrix
from operations.manifest import manifest
from tests.golden import target
from tests.unit.clusters import green

LINUX = ("rpi1", "windows-laptop", "windows-desktop")
UNIT = "/etc/systemd/system/agentfleet-icecc-scheduler.service"


def scheduled(name: str) -> Target:
    """The golden fleet with its scheduler on that host."""
    found = target()
    return replace(found, fleet=found.fleet.model_copy(update={"scheduler": name}))


def files(it: Target) -> dict[tuple[str, str], bytes]:
    """(host, path) → content, of everything."""
    return {
        (host.name, file.path): file.content
        for host in it.fleet.hosts
        for want in wanted(view_of(it, host.name)).values()
        for file in want.files
    }


# the scheduler


@pytest.mark.parametrize("name", LINUX)
def test_a_scheduler_for_a_day_moves_what_follows_and_nothing_else(name: str) -> None:
    here, there = target(), scheduled(name)
    boss, new = here.fleet.orchestrator, there.fleet.host(name)
    before, after = files(here), files(there)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    by_host: dict[str, set[str]] = {}
    for at, path in changed:
        by_host.setdefault(at, set()).add(path)
    worker = "/etc/systemd/system/agentfleet-iceccd.service"
    daemon = "/Library/LaunchDaemons/org.agentfleet.iceccd.plist"
    config, asked = "/etc/agentfleet", "/usr/local/libexec/agentfleet/inside"
    for host in here.fleet.hosts:
        expected = {daemon if host.is_mac else worker}
        if host == boss:
            expected |= {UNIT, f"{config}/wall.nft", asked}
            told = ("quarantine", "orchestrator", "monitor")
            expected |= {f"{config}/{name}.json" for name in told}
        elif host == new:
            expected |= {UNIT, f"{config}/wall.nft", asked}
        assert by_host.pop(host.name) == expected, host.name
    assert by_host == {}
    assert (boss.name, UNIT) not in after
    assert (name, UNIT) not in before


@pytest.mark.parametrize("name", LINUX)
def test_everybody_meets_at_the_new_scheduler(name: str) -> None:
    it = scheduled(name)
    at = it.fleet.host(name).addresses.tailnet
    old = it.fleet.orchestrator.addresses.tailnet
    assert at
    for (where, path), content in files(it).items():
        if path.endswith(("agentfleet-iceccd.service", "iceccd.plist")):
            said = content.decode()
            assert f"{at}:8765" in said, where
            assert f"{old}:8765" not in said, where
        if path.endswith(("quarantine.json", "orchestrator.json")):
            known = json.loads(content)
            assert (known["scheduler"], known["console"]) == (at, 8766)
    doored = {host.name: {door.name for door in doors(it.fleet, host)} for host in it.fleet.hosts}
    assert [one for one, names in doored.items() if "scheduler console" in names] == [name]
    wall = files(it)[name, "/etc/agentfleet/wall.nft"].decode()
    console = [line for line in wall.splitlines() if "accept" in line and "dport 8766 " in line]
    assert console, "the orchestrator may come to the console"
    for line in console:
        family = re.search(r"ip6? saddr (\S+)", line)
        assert family
        assert family[1] in (old, it.fleet.orchestrator.addresses.tailnet6)
    assert "8765" in rendered(Policy(it.fleet))
    assert rendered(Policy(it.fleet)) != rendered(Policy(target().fleet))


@pytest.mark.parametrize("name", LINUX)
def test_and_back_is_as_it_was(name: str) -> None:
    """The old scheduler's unit is an orphan there and leaves; nothing differs once it is back."""
    here, there = target(), scheduled(name)
    boss = here.fleet.orchestrator.name

    def listed(it: Target, host: str) -> set[tuple[str, str]]:
        return {
            (entry.kind, entry.name)
            for capability, want in wanted(view_of(it, host)).items()
            for entry in manifest(capability, want).entries
        }

    gone = listed(here, boss) - listed(there, boss)
    assert gone == {("file", UNIT), ("service", UNIT.rpartition("/")[2])}
    assert listed(there, name) - listed(here, name) == gone
    back = replace(there, fleet=there.fleet.model_copy(update={"scheduler": boss}))
    assert files(back) == files(here)
    assert not any(differing(here, back).values())
    assert rendered(Policy(back.fleet)) == rendered(Policy(here.fleet))


def test_no_compiler_is_packed_anew_for_it() -> None:
    fleet = green()
    for name in LINUX:
        moved = matrix(fleet.model_copy(update={"scheduler": name}))
        assert (moved.builders, moved.rows) == (matrix(fleet).builders, matrix(fleet).rows)


# the LAN


@pytest.fixture
def listening() -> Iterator[tuple[str, int]]:
    """An SSH server, as far as a knock can tell."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[:2]


def on_another_lan(fleet: Fleet) -> Fleet:
    """The same hosts with addresses of a LAN that they are not in any more."""
    hosts = [
        host.model_copy(
            update={"addresses": host.addresses.model_copy(update={"lan": f"192.0.2.{number}"})}
        )
        for number, host in enumerate(fleet.hosts, 1)
    ]
    return fleet.model_copy(update={"hosts": tuple(hosts)})


def test_no_file_is_bound_to_the_lan() -> None:
    here = target()
    there = replace(here, fleet=on_another_lan(here.fleet))
    assert files(there) == files(here)
    assert rendered(Policy(there.fleet)) == rendered(Policy(here.fleet))


def test_hosts_are_found_in_the_tailnet_when_the_lan_is_another(
    listening: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though somebody else's machine may have the old address: it has no SSH, or another key."""
    monkeypatch.undo()  # the real knock
    place, port = listening
    it = target()
    one = on_another_lan(it.fleet).host("rpi2")
    moved: Host = one.model_copy(
        update={
            "addresses": one.addresses.model_copy(update={"tailnet": place}),
            "ssh": one.ssh.model_copy(update={"port": port}),
        }
    )
    assert reach.candidates(moved, it)[0] == "192.0.2.6"
    assert reach.address(moved, it) == place


def test_an_address_of_the_old_lan_that_another_machine_has_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key that counts is the host's, under its name, at whatever address."""
    monkeypatch.setenv("AGENTFLEET_CACHE", str(tmp_path))
    it = target()
    way = route(on_another_lan(it.fleet).host("rpi2"), it)
    said = " ".join(way.command())
    assert "StrictHostKeyChecking=yes" in said
    assert "HostKeyAlias=rpi2" in said
    assert way.known_hosts
    (key,) = it.lock.host_keys("rpi2")
    assert key in way.known_hosts.read_text()
