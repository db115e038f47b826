"""The wall's watcher, run on this machine with an nft and an ip that are told what to say."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from deploys import firewall
from fleet.lock import read_artifacts_lock
from fleet.model import load_fleet
from fleet.target import ROOT
from fleet.view import HostView
from tests.unit.conftest import SHELLS

FAKE_NFT = """#!/bin/sh
echo "$*" >>{log}
case "$1" in
-f) cat >{table}; [ ! -e {refuse} ] ;;
list) cat {table} 2>/dev/null ;;
esac
"""
FAKE_IP = "#!/bin/sh\ncat {interfaces} 2>/dev/null\n"


class Host:
    """A host with its wall's script and its rules."""

    def __init__(self, path: Path, view: HostView, shell: list[str]) -> None:
        self.path, self.shell = path, shell
        self.table, self.interfaces = path / "table", path / "interfaces"
        self.refuse, self.rules, self.run_dir = path / "refuse", path / "wall.nft", path / "run"
        self._tool("nft", FAKE_NFT)
        self._tool("ip", FAKE_IP)
        self.script = path / "wall"
        (rules,) = [f for f in firewall.resources(view).files if f.path.endswith(".nft")]
        self.rules.write_bytes(rules.content)
        (file,) = [f for f in firewall.resources(view).files if f.path.endswith("/wall")]
        text = (
            file.content.decode().replace("sleep 10", "sleep 0.1").replace("sleep 2", "sleep 0.1")
        )
        text = text.replace("sleep 1 ", "sleep 0.1 ").replace("PATH=/", f"PATH={path}:/")
        text = text.replace("/etc/agentfleet/wall.nft", str(self.rules))
        self.script.write_text(text.replace("/var/run/agentfleet", str(self.run_dir)))

    def _tool(self, name: str, text: str) -> None:
        names = ("log", "table", "refuse", "interfaces")
        for one in names:
            text = text.replace(f"{{{one}}}", str(self.path / one))
        (self.path / name).write_text(text)
        (self.path / name).chmod(0o755)

    def wall(self, verb: str) -> subprocess.CompletedProcess[str]:
        command = [*self.shell, str(self.script), verb]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)

    def holds(self, interface: str) -> None:
        """Give the tailnet address to an interface."""
        self.interfaces.write_text(
            f"5: {interface}    inet 100.101.0.5/32 scope global {interface}\n"
        )


@pytest.fixture(params=sorted(SHELLS))
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    fleet = load_fleet(ROOT / "tests/golden/fleet.yaml")
    pins = read_artifacts_lock(ROOT / "artifacts.lock.yaml")
    view = HostView(fleet, fleet.host("rpi1"), pins)
    return Host(tmp_path, view, SHELLS[request.param])


def test_the_rules_get_the_interface_that_holds_the_address(host: Host) -> None:
    host.holds("tailscale0")
    assert host.wall("standing").returncode
    assert host.wall("load").returncode == 0
    assert 'iifname "tailscale0" ip saddr' in host.table.read_text()
    assert "tailnet0" not in host.table.read_text().replace("for tailnet0", "")
    assert host.wall("standing").returncode == 0


def test_without_an_interface_every_door_is_shut(host: Host) -> None:
    assert host.wall("load").returncode == 0
    assert 'iifname "nowhere0"' in host.table.read_text()


def test_rules_that_are_refused_are_no_wall(host: Host) -> None:
    host.refuse.touch()
    done = host.wall("load")
    assert done.returncode
    assert "did not get into force" in done.stderr
    assert host.wall("standing").returncode


def test_a_wall_without_rules_does_not_stand(host: Host) -> None:
    host.rules.unlink()
    done = host.wall("load")
    assert done.returncode
    assert "nothing is let in" in done.stderr


def _watching(host: Host) -> subprocess.Popen[str]:
    command = [*host.shell, str(host.script), "watch"]
    watcher = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    _until(lambda: host.wall("standing").returncode == 0)
    return watcher


def _until(holds: Callable[[], bool], limit_s: float = 10) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("tamper", ["vanish", "change"])
def test_the_watcher_ends_when_the_rules_do_and_closes_the_doors_first(
    host: Host, tamper: str
) -> None:
    host.holds("tailscale0")
    watcher = _watching(host)
    before = host.table.read_text()
    host.table.write_text("" if tamper == "vanish" else f"{before} accept")
    assert watcher.wait(10) == 1
    assert watcher.stderr
    assert "everything behind them stops" in watcher.stderr.read()
    assert host.table.read_text() == before


def test_the_watcher_follows_the_interface(host: Host) -> None:
    """A tunnel that comes later, or under another name, is what the doors are open on then."""

    def shows(name: str) -> bool:
        return f'iifname "{name}"' in host.table.read_text()

    watcher = _watching(host)
    try:
        for name in ("utun4", "utun7"):
            host.holds(name)
            _until(partial(shows, name))
        host.interfaces.unlink()
        _until(partial(shows, "nowhere0"))
        assert watcher.poll() is None
    finally:
        watcher.kill()
        watcher.wait()


def test_a_load_beside_the_watcher_is_no_alarm(host: Host) -> None:
    host.holds("tailscale0")
    watcher = _watching(host)
    try:
        for number in range(5):
            host.rules.write_text(host.rules.read_text() + f"# {number}\n")
            assert host.wall("load").returncode == 0
        time.sleep(0.5)
        assert watcher.poll() is None
    finally:
        watcher.kill()
        watcher.wait()
