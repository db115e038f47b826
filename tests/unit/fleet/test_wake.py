"""`fleet wake`: the packet that cards obey, from a neighbour that is up, and what is in the way."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fleet import cli, reach, wake
from fleet.model import Host, Power
from fleet.ssh import Answer
from fleet.target import Target, load_target
from tests.unit.conftest import on_linux
from tests.unit.fleet.conftest import put

Capture = pytest.CaptureFixture[str]
CARD = "a8:5e:45:00:00:03"
PACKET = b"\xff" * 6 + bytes.fromhex(CARD.replace(":", "")) * 16


class World:
    """Which hosts are awake; berry is when `needs` packets have been sent."""

    def __init__(self) -> None:
        self.awake = {"boss", "mac"}
        self.packets: list[str] = []  # which host sent one
        self.needs = 1
        self.fault = ""  # of whoever shall send
        self.slept = 0.0

    def answers(self, host: Host, target: Target) -> bool:
        return host.name in self.awake

    def as_login(self, way: Any, script: str, timeout_s: float, heard: Any) -> Answer:
        name = {"10.0.0.1": "boss", "10.0.0.2": "mac"}[way.address]
        assert CARD.replace(":", "") in script
        if name not in self.awake:
            return Answer(255, "", "ssh: connect to host: No route to host")
        if self.fault:
            return Answer(1, "", self.fault)
        self.packets.append(name)
        return Answer(0, "", "")

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        if self.slept >= 4 and len(self.packets) >= self.needs:
            self.awake.add("berry")


@pytest.fixture
def world(fleet_file: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    text = fleet_file.read_text().replace("role: pi,", "role: pi, power: sleeps,")
    fleet_file.write_text(text.replace("lan: 10.0.0.3", f"lan: 10.0.0.3, mac: '{CARD}'"))
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    found = World()
    monkeypatch.setattr(reach, "answers", found.answers)
    monkeypatch.setattr(wake, "as_login", found.as_login)
    monkeypatch.setattr(wake.time, "sleep", found.sleep)  # type: ignore[attr-defined]
    monkeypatch.setattr(wake.time, "monotonic", lambda: found.slept)  # type: ignore[attr-defined]
    return found


def test_a_host_that_wakes(world: World, capsys: Capture) -> None:
    assert cli.main(["wake", "berry"]) == 0
    assert world.packets == ["boss"]
    assert capsys.readouterr() == ("berry: awake\n", "berry: boss has sent the packet\n")


def test_a_neighbour_that_is_off_itself(world: World) -> None:
    world.awake.remove("boss")
    assert cli.main(["wake", "berry"]) == 0
    assert world.packets == ["mac"]


def test_a_host_that_stays_off(world: World, capsys: Capture) -> None:
    world.needs = 2
    assert cli.main(["wake", "berry", "--timeout", "30"]) == 3
    assert "berry: does not answer after 30 s" in capsys.readouterr().err
    assert 28 <= world.slept <= 32


def test_not_to_wait(world: World, capsys: Capture) -> None:
    assert cli.main(["wake", "berry", "--no-wait"]) == 0
    assert (world.packets, world.slept) == (["boss"], 0)
    assert capsys.readouterr().out == ""


def test_one_that_is_awake_already(world: World, capsys: Capture) -> None:
    assert cli.main(["wake", "mac"]) == 0
    assert world.packets == []
    assert capsys.readouterr().out == "mac: awake already\n"


def test_for_programs(world: World, capsys: Capture) -> None:
    assert cli.main(["wake", "berry", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"host": "berry", "sent_by": "boss", "awake": True}
    assert said.err == ""


def test_a_card_that_nobody_knows(world: World, fleet_file: Path, capsys: Capture) -> None:
    fleet_file.write_text(fleet_file.read_text().replace(f", mac: '{CARD}'", ""))
    assert cli.main(["wake", "berry"]) == 1
    assert "a run learns it while the host is on" in capsys.readouterr().err
    assert cli.main(["wake", "win"]) == 1
    assert "`ipconfig /all` there says it" in capsys.readouterr().err


def test_nobody_who_could_send(world: World, fleet_file: Path, capsys: Capture) -> None:
    world.awake = {"mac"}
    world.fault = "it has neither python3 nor perl to send the packet with"
    assert cli.main(["wake", "berry"]) == 1
    err = capsys.readouterr().err
    assert "boss: ssh: connect to host: No route to host; mac: it has neither python3" in err
    text = fleet_file.read_text()
    fleet_file.write_text(text.replace("role: pi,", "role: pi, site: cabin,"))
    assert cli.main(["wake", "berry"]) == 1
    assert "no other host at its site, cabin, is always on" in capsys.readouterr().err


def test_who_is_asked(world: World) -> None:
    """Neither itself, nor who may be off too, nor a WSL, whose packets stay inside."""
    target = load_target()
    berry = target.fleet.host("berry")
    assert [one.name for one in wake._neighbours(target, berry)] == ["boss", "mac"]
    assert target.fleet.host("win").power is Power.ALWAYS_ON


@on_linux
@pytest.mark.parametrize("program", ["python3", "perl"])
def test_the_packet(program: str, tmp_path: Path) -> None:
    """As it leaves: to every broadcast address of the host, here one that loops back."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "sed", "uname", program):
        found = sys.executable if name == "python3" else shutil.which(name)
        if not found:
            pytest.skip(f"there is no {name} here")
        put(folder, name, f'exec {found} "$@"')
    line = r"2: eth0    inet 127.0.0.3/8 brd 127.0.0.1 scope global eth0\  valid_lft forever"
    put(folder, "ip", f"echo '{line}'")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(10)
        port = str(listener.getsockname()[1])
        script = wake.wake_script(CARD)
        script = script.replace("(place, 9)", f"(place, {port})")
        script = script.replace("sockaddr_in(9,", f"sockaddr_in({port},")
        script = script.replace(" 255.255.255.255", "").replace(":/usr/sbin:/sbin", "")
        done = subprocess.run(
            ["/bin/sh", "-s"],
            input=f"{script}echo not reached\n",
            env={"PATH": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert [listener.recv(200) for _ in range(wake.TIMES)] == [PACKET] * wake.TIMES


@on_linux
def test_neither_python_nor_perl(tmp_path: Path) -> None:
    put(tmp_path, "ip", "exit 0")
    put(tmp_path, "sed", "exit 0")
    done = subprocess.run(
        ["/bin/sh", "-s"],
        input=wake.wake_script(CARD).replace(":/usr/sbin:/sbin", ""),
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == wake.NO_PROGRAM
    assert "neither python3 nor perl" in done.stderr


@on_linux
def test_a_mac_is_not_asked_for_developer_tools(tmp_path: Path) -> None:
    """Its python3 would put a question on its screen."""
    put(tmp_path, "uname", "echo Darwin")
    put(tmp_path, "ifconfig", "exit 0")
    put(tmp_path, "sed", "exit 0")
    put(tmp_path, "xcode-select", "exit 2")
    put(tmp_path, "python3", "echo asked; exit 1")
    put(tmp_path, "perl", "exit 0")
    done = subprocess.run(
        ["/bin/sh", "-s"],
        input=wake.wake_script(CARD).replace(":/usr/sbin:/sbin", ""),
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
