"""How a host is reached over SSH: one description for pyinfra and for our own commands."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fleet.hostkeys import known_hosts, not_pinned, not_the_same
from fleet.model import Host, Power
from fleet.problems import FetchError, FleetError, OffError
from fleet.reach import address
from fleet.target import Target
from orchestrator.silence import is_silence

CONNECT_TIMEOUT_S = 5
_UNKNOWN = re.compile(r"No \S+ host key is known for")
_CHANGED = re.compile(r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed")
_ALIVE = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")
LONGEST_PIECE = 1 << 16  # bytes of a line that are handed on at once
BRIEF = 256 * 1024  # bytes of an answer that is meant to be short
UNREACHABLE = 255  # ssh's own exit code; what runs on the host may have any other


@dataclass(frozen=True)
class Route:
    """Address, login and the host keys that count: `known_hosts`, else the user's own file.

    `name` is the host's in fleet.yaml, under which `known_hosts` has its keys.
    """

    address: str
    port: int
    user: str
    key: str | None
    known_hosts: Path | None
    name: str

    def command(self, *more: str, asks: bool = False) -> list[str]:
        """The argument vector of ssh; `more` options, the host is last.

        It asks nobody, unless it `asks` somebody at a terminal for a key's passphrase.
        """
        # Never through somebody's shared connection: that may be older than what it shall prove.
        options = [f"BatchMode={'no' if asks else 'yes'}", f"ConnectTimeout={CONNECT_TIMEOUT_S}"]
        options += ["ControlMaster=no", "ControlPath=none", "StrictHostKeyChecking=yes"]
        if self.known_hosts:
            options += [f"UserKnownHostsFile={self.known_hosts}", "GlobalKnownHostsFile=/dev/null"]
            options += ["VerifyHostKeyDNS=no"]
            options += [f"HostKeyAlias={self.name}"]
        key = ["-o", "IdentitiesOnly=yes", "-i", self.key] if self.key else []
        settings = [word for option in options for word in ("-o", option)]
        return ["ssh", *settings, *key, "-p", str(self.port), *more, f"{self.user}@{self.address}"]


@dataclass(frozen=True)
class Answer:
    """What came back from a host."""

    code: int
    stdout: str
    stderr: str

    @property
    def reached(self) -> bool:
        """Whether the host took the command."""
        return self.code != UNREACHABLE

    @property
    def nobody_there(self) -> bool:
        """Whether nothing answered at all; a refused login or host key is something else."""
        return not self.reached and is_silence(self.stderr)


def route(host: Host, target: Target) -> Route:
    """The way to the host: by the first of its addresses that answers (fleet.reach.address)."""
    return Route(
        address=address(host, target),
        port=host.ssh.port,
        user=host.ssh.user,
        key=str(Path(host.ssh.key).expanduser()) if host.ssh.key else None,
        known_hosts=known_hosts(host, target),
        name=host.name,
    )


def as_root(way: Route, script: str, timeout_s: float) -> Answer:
    """Run a shell script on the host as root; it travels on standard input."""
    return _run(way, [*way.command(), "sudo -n -H sh -s"], script, timeout_s)


def download(way: Route, path: str, local: Path) -> None:
    """Copy a file that everybody may read from the host. Raises FetchError with what went wrong."""
    command = way.command()
    command.append(f"cat {shlex.quote(path)}")
    with local.open("wb") as stream:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.PIPE, check=False
        )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise FetchError(_in_our_words(way, said) or f"exit code {done.returncode}")


def ask(way: Route, place: str, port: int, question: str, timeout_s: float) -> Answer:
    """Say something to a TCP port as seen from the host, and return what it answers."""
    return _run(way, way.command("-W", f"{place}:{port}"), question, timeout_s)


def as_login(way: Route, script: str, timeout_s: float, heard: Callable[[str], None]) -> Answer:
    """Run a shell script on the host as the login user; `heard` gets each line as it comes.

    Standard input stays open after the script, so that it can notice when nobody listens any more.
    Whatever `heard` raises ends the connection.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        run = subprocess.Popen(
            [*way.command(*_ALIVE), "sh -s"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
        )
        with _ended(run, timeout_s):
            lines = _listen(run, script, heard)
            code = run.wait()
        errors.seek(0)
        said = errors.read().strip()
    if code == -signal.SIGKILL:
        return Answer(UNREACHABLE, "".join(lines), f"no answer within {timeout_s:g} s")
    if code == UNREACHABLE:
        said = _in_our_words(way, said)
    return Answer(code, "".join(lines), said)


def briefly(way: Route, script: str, timeout_s: float, limit: int = BRIEF) -> Answer:
    """Run a shell script on the host as the login user, and hear at most `limit` bytes of it.

    A host that says more is cut off: the code is 1, and `stderr` says so.
    """
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as errors:
        told.write(f"main() {{\n{script}\n}}\nmain </dev/null\n".encode())
        told.seek(0)
        run = subprocess.Popen(
            [*way.command(), "sh -s"], stdin=told, stdout=subprocess.PIPE, stderr=errors
        )
        with _ended(run, timeout_s):
            said = run.stdout.read(limit + 1) if run.stdout else b""
            if len(said) > limit:
                return Answer(1, "", f"it says more than {limit} bytes")
            code = run.wait()
        errors.seek(0)
        heard = errors.read(BRIEF).decode(errors="replace").strip()
    if code == -signal.SIGKILL:
        return Answer(UNREACHABLE, "", f"no answer within {timeout_s:g} s")
    if code == UNREACHABLE:
        heard = _in_our_words(way, heard)
    return Answer(code, said.decode(errors="replace"), heard)


@contextmanager
def _ended(run: subprocess.Popen[Any], timeout_s: float) -> Iterator[None]:
    """It is killed when its time is up, and gone when the block is left."""
    timer = threading.Timer(timeout_s, run.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        run.kill()
        run.wait()
        if run.stdout:
            run.stdout.close()


def converse(
    way: Route, command: str, says: bytes, timeout_s: float, heard: Callable[[bytes], None]
) -> Answer:
    """Run a command on the host as root; `says` is its standard input, to the end.

    `heard` gets what it prints, a line at a time; what it raises ends the connection.
    """
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as errors:
        told.write(says)
        told.seek(0)
        line = shlex.join(("sudo", "-n", "-H", "--", "sh", "-c", command))
        run = subprocess.Popen(
            [*way.command(*_ALIVE), line], stdin=told, stdout=subprocess.PIPE, stderr=errors
        )
        with _ended(run, timeout_s):
            for piece in run.stdout or ():
                heard(piece)
            code = run.wait()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
    if code == -signal.SIGKILL:
        return Answer(UNREACHABLE, "", f"no answer within {timeout_s:g} s")
    return Answer(code, "", _in_our_words(way, said) if code == UNREACHABLE else said)


def stream(way: Route, script: str, heard: Callable[[bytes], None]) -> Answer:
    """Run a shell script on the host as root, for as long as it takes.

    `heard` gets each line as it comes, long ones in pieces; nothing is kept. Standard input stays
    open after the script, so that it can notice when nobody listens any more (see `attended`).
    Whatever `heard` raises ends the connection.
    """
    with tempfile.TemporaryFile() as errors:
        run = subprocess.Popen(
            [*way.command(*_ALIVE), "sudo -n -H sh -s"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        if run.stdin is None or run.stdout is None:
            raise AssertionError("both are pipes")
        try:
            with suppress(BrokenPipeError):  # ssh says why it took no script
                run.stdin.write(script.encode())
                run.stdin.flush()
            for piece in iter(partial(run.stdout.readline, LONGEST_PIECE), b""):
                heard(piece)
            code = run.wait()
        finally:
            run.kill()
            run.wait()
            run.stdout.close()
            with suppress(BrokenPipeError):
                run.stdin.close()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
    return Answer(code, "", _in_our_words(way, said) if code == UNREACHABLE else said)


def attended(function: str) -> str:
    """The end of a script for `stream`: call a shell function until nobody listens any more.

    The script's own exit code is the function's.
    """
    return f"""attend() {{
    exec 3<&0
    {function} </dev/null 3<&- &
    works=$!
    {{ cat <&3; kill "$works"; }} >/dev/null 2>&1 &
    listens=$!
    wait "$works"
    code=$?
    kill "$listens" 2>/dev/null
    exit "$code"
}}
attend
"""


def unreached(host: Host, answer: Answer) -> FleetError:
    """The error of a host that took no command; another one when it is off and may be."""
    if answer.nobody_there and host.power is not Power.ALWAYS_ON:
        fix = f"it {host.power}; wake it with `fleet wake {host.name}`, or try again later"
        return OffError.of(host.name, f"is off: {answer.stderr}", fix)
    fix = "see that it is up, and what `fleet status` says of it"
    return FleetError.of(host.name, f"cannot be reached: {answer.stderr}", fix)


def _listen(run: subprocess.Popen[str], script: str, heard: Callable[[str], None]) -> list[str]:
    """Give the script to a process, and its lines to `heard`; all of them."""
    if run.stdin is None or run.stdout is None:
        raise AssertionError("both are pipes")
    lines = []
    with suppress(BrokenPipeError), run.stdout, run.stdin:  # ssh says why it took no script
        with suppress(BrokenPipeError):
            run.stdin.write(script)
            run.stdin.flush()
        for line in run.stdout:
            lines.append(line)
            heard(line.rstrip("\n"))
    return lines


def _run(way: Route, command: list[str], stdin: str, timeout_s: float) -> Answer:
    try:
        run = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return Answer(UNREACHABLE, "", f"no answer within {timeout_s:g} s")
    said = run.stderr.strip()
    if run.returncode == UNREACHABLE:
        said = _in_our_words(way, said)
    return Answer(run.returncode, run.stdout, said)


def _in_our_words(way: Route, said: str) -> str:
    """What ssh says about host keys, with the remedy that fits; anything else as it is."""
    if _UNKNOWN.search(said) and not way.known_hosts:
        return not_pinned(way.name)
    return not_the_same(way.name) if _CHANGED.search(said) else said
