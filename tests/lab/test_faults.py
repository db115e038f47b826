"""One broken host is reported and fails alone; the other eight converge, and the exit code is 1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.target import ROOT
from lab.api import Lab
from tests.lab.runs import Run, converge, fleet


@pytest.fixture
def fleet_file(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """The fleet with a single job a host, a change everywhere; taken back afterwards."""
    text = (ROOT / "fleet.yaml").read_text()
    lines = [line.replace("cores: ", "max_jobs: 1\n    cores: ") for line in text.splitlines()]
    copy = tmp_path / "fleet.yaml"
    copy.write_text("\n".join(lines) + "\n")
    yield copy
    converge()


def assert_others_converged(lab: Lab, run: Run, broken: str, fleet_file: Path) -> None:
    others = {host.name for host in lab.fleet.hosts} - {broken}
    assert run.code == 1, run.output
    assert others <= set(run.changes), run.output
    for host in others:
        assert "-m 1 " in lab.run(host, "pgrep -af iceccd").stdout, host
    assert broken in run.output
    assert "Traceback" not in run.output


def test_a_host_that_is_off(lab: Lab, fleet_file: Path) -> None:
    lab.poweroff("rpi3")
    try:
        run = converge(fleet_file=fleet_file)
        assert_others_converged(lab, run, "rpi3", fleet_file)
        said = fleet("status", fleet_file=fleet_file)
        assert said.returncode == 1
        assert "rpi3" in said.stdout
    finally:
        lab.poweron("rpi3")
    assert set(converge(fleet_file=fleet_file).changes) == {"rpi3"}


def test_a_host_that_raises_in_a_deploy_module(lab: Lab, fleet_file: Path) -> None:
    run = converge(fleet_file=fleet_file, deploy="tests/lab/deploy_raises.py")
    assert_others_converged(lab, run, "rpi2", fleet_file)
    assert "a mistake in a deploy module" in run.output


FILL = """head -c 2M /dev/zero >{place}/ballast
n=0
while head -c 512 /dev/zero >{place}/ballast.$n; do n=$((n + 1)); done
true"""


def test_a_host_whose_disk_is_full(lab: Lab, fleet_file: Path) -> None:
    """Nothing on it changes, and it heals when there is room again."""
    host, place = "windows-laptop", "/etc/systemd/system"
    unit = f"{place}/agentfleet-iceccd.service"
    before = lab.run(host, f"cp -a {place} /tmp/kept; cat {unit}").stdout
    lab.limit_disk(host, place, 1 << 20)
    try:
        lab.run(host, f"cp -a /tmp/kept/. {place}/\n{FILL.format(place=place)}")
        run = converge(fleet_file=fleet_file)
        assert_others_converged(lab, run, host, fleet_file)
        assert "No space left" in run.output or "disk full" in run.output
        assert lab.run(host, f"cat {unit}").stdout == before
        assert lab.run(host, f"ls -A {place} | grep agentfleet-new", check=False).stdout == ""
    finally:
        lab.unlimit_disk(host, place)
    assert set(converge(fleet_file=fleet_file).changes) == {host}


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
