"""Which address of a host is taken, and that finding out is quick, lazy and remembered."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fleet import reach
from fleet.inventory import groups
from fleet.model import Addresses, Host
from fleet.ssh import route
from fleet.target import LAB, ROOT
from tests.golden import FLEET, target

LAN, TAILNET, NAME = "192.0.2.1", "192.0.2.2", "box"
Answers = Mapping[str, float | None]
World = Callable[[Answers], list[str]]


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    reach._answering.cache_clear()
    yield
    reach._answering.cache_clear()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Places that answer after so many seconds, or refuse at once (None); others are silent."""

    def make(answers: Answers) -> list[str]:
        asked: list[str] = []

        def knock(place: str, port: int) -> bool:
            asked.append(place)
            after = answers.get(place, reach.LIMIT_S * 3)
            time.sleep(after or 0)
            return after is not None

        monkeypatch.setattr(reach, "knock", knock)
        return asked

    return make


def host(lan: str | None = LAN, tailnet: str | None = TAILNET) -> Host:
    found = target().fleet.hosts[0]
    addresses = Addresses(lan=lan, tailnet=tailnet)
    return found.model_copy(update={"name": NAME, "addresses": addresses})


@pytest.mark.parametrize(
    ("answers", "taken"),
    [
        ({LAN: 0, TAILNET: 0, NAME: 0}, LAN),
        ({LAN: 0.1, TAILNET: 0}, LAN),  # slow, but it had its head start
        ({LAN: None, TAILNET: 0}, TAILNET),
        ({TAILNET: 0.1}, TAILNET),
        ({NAME: 0}, NAME),
        ({LAN: None, TAILNET: None, NAME: None}, LAN),
        ({}, LAN),
    ],
)
def test_the_best_that_answers(world: World, answers: Answers, taken: str) -> None:
    world(answers)
    start = time.monotonic()
    assert reach.address(host(), target()) == taken
    assert time.monotonic() - start < 1.5


def test_who_answers_at_home_is_not_looked_for_elsewhere(world: World) -> None:
    asked = world({LAN: 0, TAILNET: 0, NAME: 0})
    for _ in range(3):
        reach.address(host(), target())
    assert asked == [LAN], "and is asked once"


def test_a_single_address_is_not_asked(world: World) -> None:
    asked = world({})
    assert reach.address(host(lan=None, tailnet=None), target()) == NAME
    assert asked == []


def test_a_lab_s_host_has_no_name_out_here() -> None:
    lab = replace(target(), name=LAB, known_hosts=Path("/keys"))
    assert reach.candidates(host(), lab) == (LAN, TAILNET)


def test_a_whole_fleet_takes_no_longer_than_one_host(world: World) -> None:
    """Everything is off, or we are somewhere else: nine hosts at once."""
    world({})
    start = time.monotonic()
    groups(target())
    assert time.monotonic() - start < 1.5


def test_without_anybody_asking_nothing_is_sent(tmp_path: Path) -> None:
    """Importing and rendering must work on a train."""
    script = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise SystemExit('a packet was sent')\n"
        "socket.create_connection = socket.getaddrinfo = refuse\n"
        "import fleet.inventory, fleet.ssh\n"
        "from fleet.cli import main\n"
        "sys.exit(main(['render', '--host', 'rpi1', '--output', sys.argv[1]]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        env={"FLEET_FILE": str(FLEET), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_knocking_for_real(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert reach.knock("127.0.0.1", port)
    assert not reach.knock("127.0.0.1", port)
    assert not reach.knock("no-such-host.invalid." * 20, port)


def test_a_name_server_that_hangs_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the answer nor the end of the process: the thread is a daemon."""
    forever = threading.Event()
    monkeypatch.setattr(reach, "knock", lambda place, port: forever.wait() or place == TAILNET)
    start = time.monotonic()
    assert reach.address(host(), target()) == LAN
    assert time.monotonic() - start < 1.5
    assert all(t.daemon for t in threading.enumerate() if t is not threading.main_thread())
    forever.set()


def test_the_route_has_the_address(world: World) -> None:
    world({LAN: None, TAILNET: 0})
    way = route(host(), target())
    assert (way.address, way.name, way.known_hosts) == (TAILNET, NAME, None)


@pytest.mark.parametrize(("first", "there"), [(b"SSH-2.0-x\r\n", True), (b"HTTP/1.1 400", False)])
def test_awake_is_who_speaks_ssh(first: bytes, there: bool) -> None:
    """A proxy on the way takes every connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(first)

        threading.Thread(target=greet, daemon=True).start()
        assert reach.greets("127.0.0.1", server.getsockname()[1]) is there
    assert not reach.greets("127.0.0.1", 1)
