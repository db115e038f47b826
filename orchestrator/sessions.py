"""Begins sessions on agents: a token from the gateway, brought there over SSH."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from orchestrator.client import Gateway

SESSION_S = 220.0  # an agent is stopped, its home put away, and started anew
CONNECT_S = 10
MOST_BYTES = 64 << 20  # of an answer
MOST_WORDS = 4000  # of one that says no, in bytes


class AgentError(Exception):
    """An agent's host cannot be reached, or says no; the text says why."""


@dataclass(frozen=True)
class Agents:
    """Whom the orchestrator reaches, and how: agents.json, which deploys/dispatch.py renders."""

    key: str
    known_hosts: str
    user: str
    places: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, path: Path) -> Agents:
        """Read the file. Raises AgentError."""
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            ssh = said["ssh"]
            return cls(ssh["key"], ssh["known_hosts"], ssh["user"], said["agents"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AgentError(f"{path}: {type(error).__name__}: {error}") from None

    def control(self, host: str, verb: str, says: str = "", timeout_s: float = 60.0) -> str:
        """What agentctl on a host answers. Raises AgentError in its words, or ssh's."""
        return self.exchange(host, verb, says.encode(), timeout_s).decode(errors="replace")

    def exchange(self, host: str, command: str, says: bytes, timeout_s: float) -> bytes:
        """The same for bytes; `command` is a verb and its arguments, which agentctl judges.

        Raises AgentError. What comes back is hostile: whoever is root there may write it.
        """
        run = converse(self.ssh(host, command), says, timeout_s)
        if run.late:
            raise AgentError(f"{host} did not answer within {timeout_s:g} s")
        if len(run.said) > MOST_BYTES:
            raise AgentError(f"{host} says more than {MOST_BYTES} bytes")
        if run.code:
            words = run.errors.decode(errors="replace").strip()
            raise AgentError(f"{host}: {words or f'exit code {run.code}'}")
        return run.said

    def ssh(self, host: str, command: str) -> list[str]:
        """The argument vector that brings a command there. Raises AgentError for no such host."""
        place = self.places.get(host)
        if place is None:
            known = ", ".join(self.places) or "none"
            raise AgentError(f"no agent is known on {host}; there are: {known}")
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(CONNECT_S),
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": host,
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": self.known_hosts,
        }
        settings = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        where = ["-p", str(place["port"]), f"{self.user}@{place['address']}"]
        return ["ssh", "-F", "/dev/null", "-i", self.key, *settings, *where, command]


@dataclass(frozen=True)
class Run:
    """How a program ended; `late`: it was ended, since it took too long."""

    code: int
    said: bytes
    errors: bytes
    late: bool


def converse(command: list[str], says: bytes, timeout_s: float, most: int = MOST_BYTES) -> Run:
    """Run a program that may say anything, any amount of it, or nothing for ever.

    Of what it says one byte more than `most` is read. Raises AgentError when it is not there.
    """
    with tempfile.TemporaryFile() as told:
        told.write(says)
        told.seek(0)
        try:
            run = subprocess.Popen(
                command,
                stdin=told,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # what it has started ends with it
            )
        except FileNotFoundError:
            raise AgentError(f"there is no {command[0]} on the orchestrator") from None
    words: list[bytes] = []
    timer = threading.Timer(timeout_s, _end, (run,))
    listener = threading.Thread(target=_drain, args=(run.stderr, words))
    timer.start()
    listener.start()
    try:
        said = run.stdout.read(most + 1) if run.stdout else b""
        if len(said) > most:
            _end(run)
        code = run.wait()
    finally:
        late = not timer.is_alive()
        timer.cancel()
        _end(run)
        listener.join()
        run.wait()
        for stream in filter(None, (run.stdout, run.stderr)):
            stream.close()
    return Run(code, said, b"".join(words)[:MOST_WORDS], late)


def _end(run: subprocess.Popen[bytes]) -> None:
    """End it and all that it has started: a child of a shell would hold its pipes for ever."""
    with suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)


def _drain(stream: IO[bytes], words: list[bytes]) -> None:
    """Read to the end and keep the beginning."""
    kept = 0
    while piece := stream.read1(MOST_WORDS) if isinstance(stream, BufferedReader) else b"":
        if kept < MOST_WORDS:
            words.append(piece)
            kept += len(piece)


def begin(gateway: Gateway, agents: Agents, host: str) -> str:
    """Begin a new session of the host's agent; its name.

    Raises GatewayError or AgentError, and then the old session goes on as far as it was.
    """
    session, token = gateway.issue(host)
    try:
        agents.control(host, "new-session", f"{session}\n{token}\n", SESSION_S)
    except BaseException:  # an interrupt too: a token that nobody uses must not stay valid
        gateway.end(session)
        raise
    gateway.begin(session)
    return session
