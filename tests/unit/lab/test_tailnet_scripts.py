"""The `tailscale` that hosts have: what it sends, what it prints, what it ends with."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.images.tailscale import FILES
from lab.tailnet import requests, sockets
from lab.tailnet.commands import Answer
from lab.tailnet.session import Session
from lab.tailnet.show import VERSION

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("curl"), reason="needs Linux and curl"
)


class Fake:
    """A tailscaled that notes what it is asked."""

    def __init__(self) -> None:
        self.answer = Answer()
        self.asked: list[tuple[int, str, list[str]]] = []
        self.threads: list[threading.Thread] = []

    def command(self, name: str, user: int, key: str, words: list[str]) -> Answer:
        self.asked.append((user, key, words))
        return self.answer

    def connect(self, name: str, connection: socket.socket, secret: str) -> Session:
        raise NotImplementedError

    def disconnect(self, name: str, session: Session) -> None:
        raise NotImplementedError


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The command, with its socket elsewhere; the directory's name is too long for a socket."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    text = (FILES / "tailscale").read_text().replace("/run/standin-tailscale", "/proc/self/cwd")
    (folder / "tailscale").write_text(text)
    return folder / "tailscale"


@pytest.fixture
def fake(program: Path) -> Iterator[Fake]:
    fake, listener = Fake(), sockets.listen(program.parent / "socket", 0o666)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=requests.answer, args=(fake, "pi", connection))
            fake.threads.append(thread)
            thread.start()

    threading.Thread(target=serve, daemon=True).start()
    yield fake
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def run(program: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(program), *words],
        cwd=program.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def test_words_arrive_as_they_are_and_answers_where_they_belong(program: Path, fake: Fake) -> None:
    fake.answer = Answer(["out", "", "  more"], ["first"], 3, 0.3, ["last\\n"])
    words = ["up", "--hostname=a b", "", "--x=*", "line\nbreak"]
    began = time.monotonic()
    done = run(program, *words)
    assert time.monotonic() - began >= 0.3
    assert fake.asked == [(os.geteuid(), "", words)]
    assert (done.stdout, done.stderr, done.returncode) == ("out\n\n  more\n", "first\nlast\\n\n", 3)


@pytest.mark.parametrize(
    "flag", [["--auth-key=file:key"], ["--auth-key", "file:key"], ["-authkey=file:key"]]
)
def test_a_key_in_a_file_is_read_here_and_is_no_argument(
    program: Path, fake: Fake, flag: list[str]
) -> None:
    (program.parent / "key").write_text("tskey-auth-secret\n")
    run(program, "up", *flag, "--timeout", "1s")
    ((_, key, words),) = fake.asked
    assert (key, words) == ("tskey-auth-secret", ["up", *flag, "--timeout", "1s"])


def test_a_key_file_that_is_not_there(program: Path, fake: Fake) -> None:
    done = run(program, "up", "--auth-key=file:/no/such/key")
    assert (done.stderr, done.returncode) == ("open /no/such/key: no such file or directory\n", 1)
    assert fake.asked == []


def test_nobody_there(program: Path) -> None:
    done = run(program, "status")
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr.startswith("failed to connect to local tailscaled")


def test_who_hangs_up_is_not_waited_for(program: Path, fake: Fake) -> None:
    fake.answer = Answer(err=["visit"], code=1, silence=60)
    process = subprocess.Popen(
        ["sh", str(program), "up"],
        cwd=program.parent,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr
    assert process.stderr.readline() == "visit\n"
    os.killpg(process.pid, signal.SIGINT)
    process.stderr.close()
    process.wait()
    (waiting,) = fake.threads
    waiting.join(timeout=5)
    assert not waiting.is_alive()


def test_the_scripts_are_of_the_version_that_is_shown() -> None:
    asked = subprocess.run(
        ["sh", str(FILES / "tailscaled"), "--version"], capture_output=True, text=True, check=True
    )
    assert asked.stdout == f"{VERSION}\n"
