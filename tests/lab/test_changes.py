"""An edit of fleet.yaml changes what depends on it, where it depends on it, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.target import ROOT
from lab.api import Lab
from tests.lab.runs import converge

UNIT = "/etc/systemd/system/agentfleet-iceccd.service"


@pytest.fixture
def fleet_file(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """A fleet.yaml of our own to edit; afterwards the hosts are brought back to the real one."""
    copy = tmp_path / "fleet.yaml"
    copy.write_text((ROOT / "fleet.yaml").read_text())
    yield copy
    converge()


def edit(file: Path, host: str, line: str) -> None:
    """Add a key to a host's entry."""
    text = file.read_text()
    assert f"\n  {host}:\n" in text
    file.write_text(text.replace(f"\n  {host}:\n", f"\n  {host}:\n    {line}\n"))


def test_fewer_jobs_change_one_file_and_one_service_of_one_host(lab: Lab, fleet_file: Path) -> None:
    edit(fleet_file, "rpi2", "max_jobs: 2")
    expected = {
        "rpi2": [
            f"file {UNIT}: content",
            f"service agentfleet-iceccd.service: restart: {UNIT} changed",
        ]
    }
    dry = converge(dry=True, fleet_file=fleet_file)
    assert dry.changes == expected
    run = converge(fleet_file=fleet_file)
    assert (run.code, run.changes) == (0, expected), run.output
    assert "-m 2 " in lab.run("rpi2", "pgrep -af iceccd").stdout
    assert converge(fleet_file=fleet_file).changes == {}


def test_a_dry_run_shows_the_difference_and_makes_none(lab: Lab, fleet_file: Path) -> None:
    edit(fleet_file, "rpi1", "max_jobs: 3")
    before = lab.run("rpi1", f"cat {UNIT}").stdout
    output = converge("--diff", dry=True, fleet_file=fleet_file).output
    assert f"+++ {UNIT}" in output
    assert any(line.startswith("-ExecStart=") and "-m 4 " in line for line in output.splitlines())
    assert any(line.startswith("+ExecStart=") and "-m 3 " in line for line in output.splitlines())
    assert lab.run("rpi1", f"cat {UNIT}").stdout == before


@pytest.mark.parametrize("host", ["rpi3", "imac"])
def test_a_capability_that_leaves_takes_its_files_and_service_along(
    lab: Lab, fleet_file: Path, host: str
) -> None:
    edit(fleet_file, host, "without: [icecream]")
    # Its monitoring knows what shall run where, and the quarantine who is a worker.
    knowing = lab.fleet.orchestrator.name
    run = converge(fleet_file=fleet_file)
    assert run.code == 0, run.output
    assert set(run.changes) == {host, knowing}
    left = lab.run(
        host,
        "ls -d /etc/systemd/system/agentfleet-icec* /Library/LaunchDaemons/org.agentfleet.icec*",
        check=False,
    )
    assert left.stdout == ""
    assert lab.run(host, "pgrep -x iceccd", check=False).stdout == ""
    if host == "rpi3":  # its package is still there, and would start a daemon of its own at boot
        assert lab.run(host, "systemctl is-enabled iceccd", check=False).stdout == "masked\n"
    assert converge(fleet_file=fleet_file).changes == {}
    back = converge()
    assert back.code == 0, back.output
    assert set(back.changes) == {host, knowing}
    assert lab.run(host, "pgrep -x iceccd").stdout.strip()


def test_the_scheduler_moves(lab: Lab, fleet_file: Path) -> None:
    """Its service leaves the old host, appears on the new one, and every worker follows."""
    fleet_file.write_text(
        fleet_file.read_text().replace("\nname:", "\nscheduler: windows-desktop\nname:")
    )
    run = converge(fleet_file=fleet_file)
    assert run.code == 0, run.output
    assert set(run.changes) == {host.name for host in lab.fleet.hosts}
    assert lab.run("windows-desktop", "pgrep -x icecc-scheduler").stdout.strip()
    assert lab.run("arch-orchestrator", "pgrep -x icecc-scheduler", check=False).stdout == ""
    assert converge(fleet_file=fleet_file).changes == {}


def test_limits_reach_their_hosts_only(lab: Lab) -> None:
    assert set(converge("--limit", "pi").counts) == {"rpi1", "rpi2", "rpi3"}
    assert set(converge("--limit", "headless-mac", "--limit", "rpi1").counts) == {
        "macbook1",
        "imac",
        "rpi1",
    }
