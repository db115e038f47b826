"""What drifts or breaks is repaired by the next run, which says what it did."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from lab.api import Lab
from tests.lab.runs import converge, start

UNIT = "/etc/systemd/system/agentfleet-iceccd.service"
SSHD = "/etc/ssh/sshd_config.d/10-agentfleet.conf"

DAMAGE = [
    pytest.param(
        "rpi1",
        "systemctl stop agentfleet-iceccd",
        ["service agentfleet-iceccd.service: start"],
        id="stopped",
    ),
    pytest.param(
        "windows-desktop",
        f"systemctl disable --now agentfleet-iceccd; rm {UNIT}; systemctl daemon-reload",
        [f"file {UNIT}: create", "service agentfleet-iceccd.service: enable, start"],
        id="unit deleted",
    ),
    pytest.param(
        "arch-orchestrator",
        f"rm {UNIT}; systemctl daemon-reload",
        [
            f"file {UNIT}: create",
            "service agentfleet-iceccd.service: restart: its definition is gone",
        ],
        id="unit deleted under a running service",
    ),
    pytest.param(
        "rpi2",
        f"chmod 0666 {SSHD}",
        [f"file {SSHD}: mode 0666 → 0644"],
        id="mode changed",
    ),
    pytest.param(
        "windows-laptop",
        f"echo 'PasswordAuthentication yes' >{SSHD}; chown nobody {SSHD}; systemctl reload ssh",
        [
            f"file {SSHD}: content, owner nobody → root",
            f"service ssh.service: take notice of {SSHD}",
        ],
        id="content and owner changed, and sshd told of it",
    ),
    pytest.param(
        "macbook1",
        "launchctl bootout system/org.agentfleet.iceccd; sleep 3",
        ["service org.agentfleet.iceccd: start"],
        id="job booted out",
    ),
    pytest.param(
        "imac",
        "launchctl disable system/org.agentfleet.iceccd",
        ["service org.agentfleet.iceccd: enable"],
        id="job disabled",
    ),
    pytest.param(
        "rpi3",
        "systemctl unmask iceccd",
        ["unit iceccd.service: mask"],
        id="packaged unit unmasked",
    ),
]


@pytest.mark.parametrize(("host", "damage", "repair"), DAMAGE)
def test_the_next_run_repairs_it_and_says_so(
    lab: Lab, host: str, damage: str, repair: list[str]
) -> None:
    lab.run(host, damage)
    run = converge("--limit", host)
    assert run.code == 0, run.output
    assert run.changes == {host: repair}
    assert all(line in run.output for line in repair)
    assert converge("--limit", host).changes == {}


@pytest.mark.parametrize("host", ["rpi1", "macbook2"])
def test_a_killed_daemon_comes_back_by_itself(lab: Lab, host: str) -> None:
    lab.run(host, "pkill -KILL -x iceccd")
    deadline = time.monotonic() + 40  # restart delay, and a Pi's slowness under emulation
    while not lab.run(host, "pgrep -x iceccd", check=False).stdout:
        assert time.monotonic() < deadline
        time.sleep(1)
    time.sleep(2)
    assert converge("--limit", host).changes == {}


def test_a_reboot_is_no_reason_to_restart_anything(lab: Lab) -> None:
    lab.run("windows-desktop", "systemctl reboot", check=False)
    time.sleep(3)
    lab.wait_ssh(["windows-desktop"])
    deadline = time.monotonic() + 60
    while lab.run(
        "windows-desktop", "systemctl is-active agentfleet-iceccd", check=False
    ).returncode:
        assert time.monotonic() < deadline
        time.sleep(1)
    assert converge("--limit", "windows-desktop").changes == {}


def test_a_daemon_restarted_by_hand_with_new_inputs_is_left_alone(lab: Lab) -> None:
    lab.run("rpi2", "systemctl restart agentfleet-iceccd")
    assert converge("--limit", "rpi2").changes == {}


@pytest.mark.parametrize("after_s", [3.0, 8.0])
def test_a_run_killed_half_way_is_finished_by_the_next(
    lab: Lab, tmp_path: Path, after_s: float
) -> None:
    """From pristine, killed at several moments; whatever was half done is no obstacle."""
    host = "windows-laptop"
    lab.reset([host])
    process = start("-y", "--limit", host, scratch=tmp_path)
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    run = converge("--limit", host)
    assert run.code == 0, run.output
    assert converge("--limit", host).changes == {}
    leftover = "find / -xdev -name '*.agentfleet-new' -o -xdev -name 'stage.*' -path '*agentfleet*'"
    assert lab.run(host, leftover).stdout == ""
