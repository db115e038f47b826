"""A broken host is reported and fails alone; the others converge, and the exit code is 1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.target import ROOT
from lab.api import Lab
from tests.lab.runs import converge, fleet


@pytest.fixture
def fleet_file(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """The fleet with a single job a host, a change everywhere; taken back afterwards."""
    text = (ROOT / "fleet.yaml").read_text()
    lines = [line.replace("cores: ", "max_jobs: 1\n    cores: ") for line in text.splitlines()]
    copy = tmp_path / "fleet.yaml"
    copy.write_text("\n".join(lines) + "\n")
    yield copy
    converge()


OFF, RAISES, FULL = BROKEN = ("rpi3", "rpi2", "windows-laptop")
FILL = """head -c 2M /dev/zero >{place}/ballast
n=0
while head -c 512 /dev/zero >{place}/ballast.$n; do n=$((n + 1)); done
true"""


def test_three_broken_hosts_and_six_that_converge(lab: Lab, fleet_file: Path) -> None:
    """One is off, for one a deploy module raises, the disk of one is full; they heal later."""
    place = "/etc/systemd/system"
    unit = f"{place}/agentfleet-iceccd.service"
    before = lab.run(FULL, f"cp -a {place} /tmp/kept; cat {unit}").stdout
    lab.poweroff(OFF)
    lab.limit_disk(FULL, place, 1 << 20)
    try:
        lab.run(FULL, f"cp -a /tmp/kept/. {place}/\n{FILL.format(place=place)}")
        run = converge(fleet_file=fleet_file, deploy="tests/lab/deploy_raises.py")
        assert run.code == 1, run.output
        for host in {host.name for host in lab.fleet.hosts} - set(BROKEN):
            assert host in run.changes, run.output
            assert "-m 1 " in lab.run(host, "pgrep -af iceccd").stdout, host
        assert "Traceback" not in run.output
        assert OFF in run.output
        assert "a mistake in a deploy module" in run.output
        assert "No space left" in run.output or "disk full" in run.output
        assert lab.run(FULL, f"cat {unit}").stdout == before, "nothing on it has changed"
        assert lab.run(FULL, f"ls -A {place} | grep agentfleet-new", check=False).stdout == ""
        said = fleet("status", fleet_file=fleet_file)
        assert said.returncode == 1
        assert OFF in said.stdout
    finally:
        lab.poweron(OFF)
        lab.unlimit_disk(FULL, place)
    limits = [word for name in BROKEN for word in ("--limit", name)]
    run = converge(*limits, fleet_file=fleet_file)
    assert run.code == 0, run.output
    assert set(run.changes) == set(BROKEN)


def test_a_machine_that_is_not_what_the_fleet_file_says(lab: Lab, tmp_path: Path) -> None:
    """Refused before anything is changed: the address may belong to another machine."""
    wrong = tmp_path / "fleet.yaml"
    text = (ROOT / "fleet.yaml").read_text()
    entry, rest = text.split("\n  windows-desktop:\n")[1].split("os: debian", 1)
    wrong.write_text(text.replace(f"{entry}os: debian{rest}", f"{entry}os: ubuntu{rest}"))
    run = converge("--limit", "windows-desktop", fleet_file=wrong)
    assert run.code == 1
    assert "fleet.yaml says os: ubuntu, the host says debian" in run.output
    assert run.changes == {}


def test_a_mac_without_brew_and_port_is_reported_and_skipped(lab: Lab) -> None:
    lab.run("macbook2", "mv /usr/local/bin/brew /usr/local/bin/brew.away")
    try:
        run = converge("--limit", "macbook2")
        assert run.code == 0, run.output
        assert "icecream skipped: this Mac has neither Homebrew nor MacPorts" in run.output
        assert run.changes == {"macbook2": []}
    finally:
        lab.run("macbook2", "mv /usr/local/bin/brew.away /usr/local/bin/brew")


def test_a_line_of_others_that_lets_passwords_in_is_an_error(lab: Lab) -> None:
    """The first line that sets a value wins: ours would be there and mean nothing."""
    earlier = "/etc/ssh/sshd_config.d/00-earlier.conf"
    lab.run("windows-desktop", f"echo 'PasswordAuthentication yes' >{earlier}")
    try:
        run = converge("--limit", "windows-desktop")
        assert run.code == 1, run.output
        assert "sshd still accepts passwords" in run.output
    finally:
        lab.run("windows-desktop", f"rm {earlier}")
    assert converge("--limit", "windows-desktop").changes == {}


def test_a_host_that_is_not_in_the_tailnet_is_reported_and_skipped(lab: Lab) -> None:
    """Its worker would wait for its address for ever, and look like one that works."""
    lab.run("rpi3", "ip link set tailscale0 down && ip addr flush dev tailscale0")
    try:
        run = converge("--limit", "rpi3")
        assert run.code == 0, run.output
        assert "icecream skipped: no interface holds the tailnet address" in run.output
        said = fleet("status")
        assert said.returncode == 2
        assert "rpi3: icecream: skipped, no interface holds" in said.stdout
    finally:
        lab.poweroff("rpi3")
        lab.poweron("rpi3")
