"""The verbs of every day on the lab: logs, restart, ssh, wake, why."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from fleet.target import ROOT
from lab.api import Lab
from tests.lab.agents import answer, say
from tests.lab.runs import environment, fleet

PI, MAC = "rpi2", "imac"
LISTEN = """import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.bind(("", 9))
print("listening", flush=True)
print(s.recv(200)[:12].hex(), flush=True)
"""


def test_a_log_is_read_on_either_system(lab: Lab) -> None:
    lab.run(MAC, f"echo 'a line' >>{_log(lab)}")
    for host, words in ((PI, "Started agentfleet-iceccd"), (MAC, "a line\n")):
        said = fleet("logs", host, "iceccd", "-n", "50")
        assert said.returncode == 0, said.stderr
        assert words in said.stdout, host
    said = fleet("logs", PI, "icecc")
    assert said.returncode == 1
    assert 'did you mean "iceccd"' in said.stderr


def _log(lab: Lab) -> str:
    return lab.run(MAC, "ls /var/log/agentfleet/iceccd*.log | head -n 1").stdout.strip()


def test_a_hostile_log_paints_no_terminal(lab: Lab) -> None:
    lab.run(MAC, f"printf 'evil \\033[2J\\033]0;x\\007 $(reboot)\\n' >>{_log(lab)}")
    said = fleet("logs", MAC, "iceccd", "-n", "5").stdout
    assert "evil" in said
    assert "$(reboot)" in said
    assert not {"\x1b", "\x07"} & set(said)


@pytest.fixture
def followed(lab: Lab) -> Iterator[subprocess.Popen[str]]:
    """A log that is followed; an interrupt ends it."""
    with subprocess.Popen(
        [sys.executable, "-m", "fleet", "--lab", "logs", PI, "iceccd", "-f", "-n", "0"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def test_a_restart_is_seen_in_the_log_that_is_followed(
    lab: Lab, followed: subprocess.Popen[str]
) -> None:
    time.sleep(3)
    pid = "systemctl show -p MainPID --value agentfleet-iceccd"
    before = lab.run(PI, pid).stdout
    done = fleet("restart", PI, "iceccd", "--yes")
    assert done.returncode == 0, done.stderr
    assert lab.run(PI, pid).stdout != before
    assert followed.stdout
    assert "iceccd" in followed.stdout.readline()
    followed.send_signal(signal.SIGINT)
    assert followed.wait(20) == 130
    deadline = time.monotonic() + 20
    while lab.run(PI, "pgrep -f '[j]ournalctl.*--follow'", check=False).stdout:
        assert time.monotonic() < deadline, "nobody reads it any more"
        time.sleep(1)


def test_an_agent_at_work_is_not_restarted(lab: Lab) -> None:
    say(lab, MAC, "slow 15")
    done = fleet("restart", MAC, "agentapi", "--yes")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "not restarted" in done.stderr
    assert "That took its time" in answer(lab, MAC)
    assert fleet("restart", MAC, "agentapi", "--yes").returncode == 0


def test_a_command_over_ssh_and_its_exit_code(lab: Lab) -> None:
    done = fleet("ssh", PI, "--", "hostname; exit 7")
    assert (done.returncode, done.stdout) == (7, f"{PI}\n")


def test_the_packet_that_wakes_a_host_is_on_the_lan(lab: Lab) -> None:
    """Whether a card obeys it no lab can tell."""
    card = lab.run("rpi3", "cat /sys/class/net/eth0/address 2>/dev/null || true").stdout.strip()
    assert fleet("wake", "rpi3").stdout == "rpi3: awake already\n"
    lab.poweroff("rpi3")
    try:
        with subprocess.Popen(
            ["ssh", "-F", lab.ssh_config, "windows-desktop", f"sudo python3 -c '{LISTEN}'"],
            stdout=subprocess.PIPE,
            text=True,
        ) as listener:
            assert listener.stdout
            assert listener.stdout.readline() == "listening\n"
            done = fleet("wake", "rpi3", "--timeout", "3")
            heard = listener.stdout.readline().strip()
    finally:
        lab.poweron("rpi3")
    assert done.returncode == 3, done.stderr
    assert heard.startswith("f" * 12)
    assert not card or heard[12:] == card.replace(":", "")
