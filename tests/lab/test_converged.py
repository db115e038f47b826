"""A converged fleet: nothing left to do, every service where it should be, jobs really travel."""

from __future__ import annotations

import json

import pytest

from fleet.cluster import Node, nodes
from fleet.target import Target
from lab.api import Lab
from tests.lab.runs import KEEP, KEEP_SWITCH, Run, converge, fleet
from tests.lab.workers import complete

EXECUTIONS = 3  # remote executions a host for a run that changes nothing


@pytest.fixture(scope="module")
def second_run(lab: Lab) -> Run:
    return converge()


@pytest.fixture(scope="module")
def cluster(lab: Lab, target: Target) -> tuple[Node, ...]:
    """What the scheduler lists, once every worker has announced itself."""
    complete(target)
    return nodes(target)


@pytest.mark.skipif(KEEP, reason=f"{KEEP_SWITCH} is set: the lab was converged before")
def test_the_first_run_brings_every_host_there(first_run: Run, lab: Lab) -> None:
    assert set(first_run.changes) == {host.name for host in lab.fleet.hosts}


def test_a_second_run_changes_nothing_anywhere(second_run: Run) -> None:
    assert second_run.code == 0, second_run.output
    assert second_run.changes == {}


def test_a_run_without_changes_costs_few_remote_executions(second_run: Run, lab: Lab) -> None:
    assert set(second_run.counts) == {host.name for host in lab.fleet.hosts}
    assert max(second_run.counts.values()) <= EXECUTIONS, second_run.counts


def test_a_dry_run_says_so_too(second_run: Run) -> None:
    run = converge(dry=True)
    assert run.code == 0, run.output
    assert run.changes == {}


def test_status_says_so_too(cluster: tuple[Node, ...]) -> None:
    said = fleet("status", "--json")
    found = json.loads(said.stdout)
    assert {one["state"] for one in found["hosts"]} == {"converged"}, said.stdout
    assert said.returncode == 0


def test_the_scheduler_lists_every_host(cluster: tuple[Node, ...], lab: Lab) -> None:
    assert {node.name for node in cluster} == {host.name for host in lab.fleet.hosts}


def test_workers_take_the_jobs_of_the_fleet_file(cluster: tuple[Node, ...], lab: Lab) -> None:
    """On the tailnet address, on their own platform; a Mac takes none."""
    by_name = {node.name: node for node in cluster}
    for host in lab.fleet.hosts:
        node = by_name[host.name]
        if host.is_mac:
            assert node.port == 0
        else:
            assert (node.port, node.platform) == (10245, host.arch.value)
            assert (node.address, node.max_jobs) == (host.addresses.tailnet, host.max_jobs)


PROGRAM = '#include <stdio.h>\nint main(void) { printf("%d\\n", 6 * 7); return 0; }\n'


@pytest.mark.parametrize(
    ("here", "there"), [("arch-orchestrator", "windows-desktop"), ("rpi1", "rpi2")]
)
def test_a_job_is_really_compiled_elsewhere(
    lab: Lab, cluster: tuple[Node, ...], here: str, there: str
) -> None:
    path = "PATH=/usr/lib/icecream/bin:$PATH"
    log = lab.run(
        here,
        f"cd $(mktemp -d) && printf %s '{PROGRAM}' >t.c && {path} ICECC_PREFERRED_HOST={there}"
        " ICECC_DEBUG=debug icecc gcc -c t.c -o t.o 2>log; cat log; gcc t.o -o t && ./t",
        timeout=300,
    ).stdout
    assert f"Have to use host {lab.fleet.host(there).addresses.tailnet}:10245" in log
    assert "building myself" not in log
    assert log.splitlines()[-1] == "42"


def test_units_are_sound(lab: Lab) -> None:
    """systemd's own judgement, on the host; it prints nothing about a sound unit."""
    for host in lab.fleet.hosts:
        if host.is_linux:
            units = "/etc/systemd/system/agentfleet-*.service"
            said = lab.run(host.name, f"systemd-analyze verify {units}")
            assert said.stderr + said.stdout == "", host.name


def test_ssh_takes_keys_only(lab: Lab) -> None:
    for host in lab.fleet.hosts:
        effective = lab.run(host.name, "/usr/sbin/sshd -T").stdout.splitlines()
        assert "passwordauthentication no" in effective, host.name
        assert "kbdinteractiveauthentication no" in effective, host.name


def test_packaged_daemons_never_ran(lab: Lab) -> None:
    """Debian's package would start its own, on all interfaces."""
    for host in lab.fleet.hosts:
        if host.os == "debian" or host.os == "raspios":
            state = lab.run(host.name, "systemctl is-enabled iceccd", check=False).stdout.strip()
            assert state == "masked", host.name
            journal = lab.run(host.name, "journalctl -q -u iceccd -u icecc-scheduler").stdout
            assert "Started" not in journal, host.name


def test_daemons_listen_on_the_tailnet_only(lab: Lab) -> None:
    for host in lab.fleet.hosts:
        if host.is_linux:
            listening = lab.run(host.name, "ss -Htln | awk '{ print $4 }'").stdout.split()
            ours = {entry for entry in listening if entry.endswith((":10245", ":8765", ":8766"))}
            allowed = {f"{host.addresses.tailnet}:{port}" for port in (10245, 8765, 8766)}
            assert ours <= allowed | {"127.0.0.1:10245"}, host.name
