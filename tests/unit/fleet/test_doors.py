"""The table of doors: what stands open, and that nothing is left out by accident."""

from __future__ import annotations

import pytest

from fleet.doors import Door, Who, doors
from fleet.model import Fleet, load_fleet
from fleet.target import ROOT


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return load_fleet(ROOT / "fleet.yaml")


def named(fleet: Fleet, host: str) -> dict[str, Door]:
    return {door.name: door for door in doors(fleet, fleet.host(host))}


def test_what_an_agent_listens_on_is_the_orchestrators_alone(fleet: Fleet) -> None:
    for host in fleet.hosts:
        door = named(fleet, host.name)["agent"]
        assert (door.port, door.who, door.operators) == (3284, Who.ORCHESTRATOR, False)


def test_a_scheduler_that_moves_takes_its_doors_along(fleet: Fleet) -> None:
    moved = fleet.model_copy(update={"scheduler": "rpi2"})
    assert {"scheduler", "scheduler console"} <= set(named(moved, "rpi2"))
    assert not {"scheduler", "scheduler console"} & set(named(moved, "arch-orchestrator"))
    assert named(moved, "rpi2")["scheduler console"].who is Who.ORCHESTRATOR


def test_the_page_and_the_downloads_are_the_orchestrators(fleet: Fleet) -> None:
    there = [host.name for host in fleet.hosts if "page" in named(fleet, host.name)]
    assert there == ["arch-orchestrator"]


def test_downloads_are_served_by_the_orchestrator_and_by_relays(fleet: Fleet) -> None:
    hosts = tuple(
        host.model_copy(update={"site": "cabin"}) if host.name in ("rpi3", "imac") else host
        for host in fleet.hosts
    )
    split = fleet.model_copy(update={"hosts": hosts, "relays": {"cabin": "rpi3"}})
    serving = {
        host.name: door.who
        for host in split.hosts
        for door in doors(split, host)
        if door.port == 8081
    }
    assert serving == {"arch-orchestrator": Who.TAILNET, "rpi3": Who.FLEET}


def test_ssh_is_where_the_fleet_file_says(fleet: Fleet) -> None:
    assert named(fleet, "windows-desktop")["ssh"].port == 2222
    assert all(named(fleet, host.name)["ssh"].who is Who.ANYWHERE for host in fleet.hosts)


def test_no_two_doors_are_one_port(fleet: Fleet) -> None:
    for host in fleet.hosts:
        ports = [door.port for door in doors(fleet, host)]
        assert len(set(ports)) == len(ports)
