"""A worker that is reported for a wrong object is out of the cluster until it is let in again."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from fleet.target import Target
from lab.api import Lab
from tests.lab.agents import until
from tests.lab.runs import fleet
from tests.lab.workers import (
    QUARANTINE_PORT,
    REGISTRATION_S,
    REMOTE,
    complete,
    curl,
    members,
    object_of,
    report,
)

CLIENT, WORKER, OTHER, MAC = "rpi1", "rpi2", "rpi3", "imac"
UNIT = "agentfleet-quarantine"
AGAIN_S = 60  # the scheduler is told again every 30 s


@pytest.fixture(scope="module", autouse=True)
def everybody(lab: Lab, target: Target) -> None:
    """Every worker has announced itself."""
    complete(target)


def boss(lab: Lab) -> str:
    return lab.fleet.orchestrator.name


def blocked(lab: Lab) -> dict[str, Any]:
    said = curl(lab, CLIENT, "/blocked").stdout
    assert said.endswith("200"), said
    return {one["worker"]: one for one in json.loads(said.removesuffix("200"))["blocked"]}


def has_taken(lab: Lab) -> bool:
    return bool(blocked(lab)[WORKER]["taken"])


def test_who_is_reported_is_out_at_the_scheduler(lab: Lab, target: Target) -> None:
    address = lab.fleet.host(WORKER).addresses.tailnet or ""
    said = report(lab, CLIENT, address)
    assert said.stdout == f"{WORKER} is blocked\n200", said.stderr
    assert WORKER not in members(target)
    assert blocked(lab)[WORKER]["by"] == CLIENT
    journal = lab.run(boss(lab), f"journalctl -q -o cat -u {UNIT} | grep ^WARNING").stdout
    assert f'{WORKER} is blocked: {CLIENT} reports a wrong object (compiler "clang"' in journal


def test_people_are_told(lab: Lab) -> None:
    said = fleet("workers")
    assert said.returncode == 2, said.stdout + said.stderr
    (line,) = [line for line in said.stdout.splitlines() if line.startswith(WORKER)]
    assert f"{CLIENT} reported a wrong object" in line
    assert "clang a file.c; byte 40 differs" in line
    found = {one["name"]: one for one in json.loads(fleet("workers", "--json").stdout)["workers"]}
    assert found[WORKER]["blocked"]["taken"] is True
    assert found[OTHER]["blocked"] is None
    assert not any(one["stranger"] for one in found.values())


def test_a_restarted_daemon_is_turned_away_by_any_name(lab: Lab, target: Target) -> None:
    unit = "/etc/systemd/system/agentfleet-iceccd.service"
    lab.run(
        WORKER,
        f"cp -p {unit} /root/unit; sed -i 's/--name {WORKER} /--name honest /' {unit};"
        "systemctl daemon-reload; systemctl restart agentfleet-iceccd; sleep 20",
    )
    assert {"honest", WORKER}.isdisjoint(members(target))
    lab.run(
        WORKER,
        f"mv /root/unit {unit}; systemctl daemon-reload; systemctl restart agentfleet-iceccd",
    )


def test_a_restart_of_the_scheduler_loses_no_block_and_no_worker(lab: Lab, target: Target) -> None:
    where = lab.fleet.scheduler_host.name
    lab.run(where, "systemctl restart agentfleet-icecc-scheduler")
    others = {host.name for host in lab.fleet.hosts} - {WORKER}
    until(lambda: members(target) == others and has_taken(lab), REGISTRATION_S + AGAIN_S)
    assert REMOTE in object_of(lab, where, OTHER), "jobs go out again"


def test_a_block_outlives_a_killed_service(lab: Lab, target: Target) -> None:
    before = blocked(lab)[WORKER]["reports"]
    lab.run(boss(lab), f"systemctl kill -s KILL {UNIT}")
    lab.run(lab.fleet.scheduler_host.name, "systemctl restart agentfleet-icecc-scheduler")
    until(lambda: curl(lab, CLIENT, "/blocked").stdout.endswith("200"))
    assert blocked(lab)[WORKER]["reports"] == before
    until(lambda: has_taken(lab), AGAIN_S)
    assert WORKER not in members(target)


def test_a_report_while_the_scheduler_is_down_is_kept(lab: Lab, target: Target) -> None:
    where = lab.fleet.scheduler_host.name
    lab.run(where, "systemctl stop agentfleet-icecc-scheduler")
    try:
        said = report(lab, CLIENT, OTHER)
        expected = f"noted; {OTHER} is blocked as soon as the scheduler answers\n200"
        assert said.stdout == expected, said.stderr
    finally:
        lab.run(where, "systemctl start agentfleet-icecc-scheduler")
    until(lambda: bool(blocked(lab)[OTHER]["taken"]), AGAIN_S)
    assert fleet("workers", "--unblock", OTHER, "--yes").returncode == 0


def test_who_is_let_in_comes_back(lab: Lab, target: Target) -> None:
    said = fleet("workers", "--unblock", WORKER)
    assert said.returncode == 64, "nobody is there to confirm it"
    said = fleet("workers", "--unblock", WORKER, "--yes")
    assert (said.returncode, said.stderr) == (0, ""), said.stderr
    complete(target)
    assert fleet("workers").returncode == 0
    assert fleet("workers", "--unblock", WORKER, "--yes").returncode == 1


def test_what_is_no_worker_cannot_be_blocked(lab: Lab, target: Target) -> None:
    for name in (MAC, "stranger"):
        said = report(lab, CLIENT, name)
        assert said.stdout == f'"{name}" is no worker of this fleet\n422', said.stderr
    assert blocked(lab) == {}
    assert MAC in members(target)


def test_from_outside_the_fleet_nothing_is_taken(lab: Lab) -> None:
    """The wall keeps the LAN out; who comes by another way is none of the fleet's addresses."""
    place = lab.fleet.orchestrator.addresses
    with pytest.raises(OSError):  # noqa: PT011 - refused or silent: both are shut
        socket.create_connection((place.lan or "", QUARANTINE_PORT), timeout=2).close()
    for claim in ((), ("-H", f"X-Forwarded-For: {lab.fleet.host(CLIENT).addresses.tailnet}")):
        said = report(lab, boss(lab), WORKER, "--interface", "127.0.0.1", *claim)
        assert said.stdout == "127.0.0.1 is no address of this fleet's\n403", said.stderr
    assert blocked(lab) == {}


@pytest.mark.parametrize(("user", "may"), [("agentfleet-orchestrator", True), ("icecc", False)])
def test_the_socket_is_for_the_orchestrators_account(lab: Lab, user: str, may: bool) -> None:
    ask = "curl -sSf --unix-socket /run/agentfleet-quarantine/admin.sock http://x/blocked"
    done = lab.run(
        boss(lab), f"setpriv --reuid={user} --regid={user} --clear-groups {ask}", check=False
    )
    assert (done.returncode == 0) is may, done.stderr
