"""A running stand-in of AgentAPI, for its tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from fleet.target import ROOT
from lab.standins.agentapi.build import build
from orchestrator.plain import NO_TLS

WAIT_S = 20.0
HOSTS = "localhost,127.0.0.1,agent.example"
# An agent: it repeats what it is told, and takes its time when asked to.
ECHO = """import signal, sys, time
print("ready", flush=True)
for line in sys.stdin:
    line = line.replace("\\x1b[200~", "").replace("\\x1b[201~", "").strip()
    if line == "end": sys.exit(3)
    if line == "kill": signal.raise_signal(signal.SIGKILL)
    for n in range(3 if line == "slowly" else 0):
        print("step", n, flush=True); time.sleep(0.4)
    if line: print("you said", line, flush=True)
"""


# Another one: whatever is pressed is drawn, control characters too, and nothing ends it.
MIRROR = """import os, tty
tty.setraw(0)
print("ready", flush=True)
while data := os.read(0, 4096): os.write(1, data.replace(b"\\r", b"\\r\\n> "))
"""
# The program with less patience, so that the tests need less. Where it is installed it has its own.
QUICK = """import sys
from lab.standins.agentapi.agentapi import conversation, run
conversation.STABLE_S, conversation.SETTLED_S = 1.0, 0.5
conversation.PASTED_S, conversation.STARTS_S = 2.0, 4.0
sys.exit(run.main(sys.argv[1:]))
"""


class Agent:
    """The stand-in on a free port; its agent is a small program."""

    def __init__(
        self,
        path: Path,
        *flags: str,
        stdin: str = "",
        script: str = ECHO,
        installed: bool = False,
    ) -> None:
        self.state = path / "state.json"
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = int(one.getsockname()[1])
        said = ["--type", "claude", "--port", str(self.port), "--allowed-hosts", HOSTS]
        said += ["--state-file", str(self.state), *flags]
        (path / "script.py").write_text(script)
        command = [sys.executable, "-u", str(path / "script.py")]
        self.process = start([*_program(path, installed), "server", *said, "--", *command], stdin)
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=40, verify=NO_TLS
        )

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **more)

    def post(self, content: object, kind: object = "user") -> httpx.Response:
        return self.client.post("/message", json={"content": content, "type": kind})

    def messages(self) -> list[tuple[str, str]]:
        said = self.get("/messages").json()["messages"]
        assert [one["id"] for one in said] == list(range(len(said)))
        return [(one["role"], one["content"]) for one in said]

    def idle(self) -> None:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            try:
                if self.get("/status").json()["status"] == "stable":
                    return
            except httpx.HTTPError:
                assert self.process.poll() is None
            time.sleep(0.1)
        raise AssertionError("it is never idle")

    def says(self, words: str) -> None:
        """Wait until the last message has these words: the screen is looked at now and then."""
        deadline = time.monotonic() + WAIT_S
        while words not in self.messages()[-1][1]:
            assert time.monotonic() < deadline, f"it never says {words!r}"
            time.sleep(0.1)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)


def _program(path: Path, installed: bool) -> list[str]:
    if not installed:
        return [sys.executable, "-c", QUICK]
    program = path / "agentapi"
    program.write_bytes(build())
    program.chmod(0o755)
    return [str(program)]


def start(words: Sequence[str], stdin: str = "") -> subprocess.Popen[str]:
    """Start a program with this input and no more."""
    pipe = subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, stdin=pipe, stderr=pipe, text=True, env=environment)
    assert process.stdin
    process.stdin.write(stdin)
    process.stdin.close()
    return process


def run(*words: str) -> tuple[int, str]:
    """How the program ends with these words, and what it says."""
    process = start([sys.executable, "-c", QUICK, *words])
    code = process.wait(WAIT_S)
    assert process.stderr
    return code, process.stderr.read()
