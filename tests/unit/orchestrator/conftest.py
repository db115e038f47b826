"""The gateway as a process of its own, which can be killed and started again."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleet.bundle import orchestrator_bundle
from fleet.target import ROOT
from orchestrator.client import Gateway, GatewayError
from orchestrator.plain import NO_TLS
from tests.unit.orchestrator.nursery import Child, Process
from tests.unit.orchestrator.upstream import Upstream

KEY = "sk-ant-the-canary-key-of-the-tests"
MODEL = "claude-sonnet-4-5"  # $3 and $15 a million tokens


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def from_bundle(
    program: Path, *arguments: str, environment: Mapping[str, str], log: Path
) -> subprocess.Popen[str]:
    """The program as hosts have it: one file, and nothing installed besides."""
    with log.open("a") as said:
        return subprocess.Popen(
            [sys.executable, "-IB", program, *arguments],
            env=environment,
            stderr=said,
            text=True,
            cwd=ROOT,
        )


class Running:
    """A gateway with a directory of its own; it can be killed and started again."""

    def __init__(self, path: Path, url: str, *, bundled: bool = False, **differing: Any) -> None:
        self.path, self.port, self.config = path, free_port(), path / "gateway.json"
        self.bundle = path / "orchestrator.pyz" if bundled else None
        if self.bundle:
            self.bundle.write_bytes(orchestrator_bundle())
        self.environment = {"CREDENTIALS_DIRECTORY": str(path), "PATH": "/usr/bin:/bin"}
        self.socket = path / "admin.sock"
        hosts = {
            "rpi1": {"addresses": ["127.0.0.1"], "session": 5, "daily": 15},
            "imac": {"addresses": ["127.0.0.2"], "session": 10, "daily": None},
        }
        known = {
            "listen": "127.0.0.1",
            "port": self.port,
            "upstream": url,
            "credential": "anthropic_api_key",
            "ledger": str(path / "ledger.sqlite"),
            "socket": str(self.socket),
            "warn_percent": 80,
            "daily": 100,
            "hosts": hosts,
        }
        self.config.write_text(json.dumps(known | differing))
        (path / "anthropic_api_key").write_text(f"{KEY}\n")
        self.process: Process | None = None
        self.start()

    def start(self) -> None:
        words, log = ("gateway", str(self.config)), self.path / "log"
        self.process = (
            from_bundle(self.bundle, *words, environment=self.environment, log=log)
            if self.bundle
            else Child(words, self.environment, self.path / "out", log)
        )
        for _ in range(200):
            try:
                self.admin.budget(1)
            except GatewayError:
                assert self.process.poll() is None, self.log
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the gateway does not come up")

    def kill(self, number: int = signal.SIGKILL) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(10)

    @property
    def admin(self) -> Gateway:
        return Gateway(self.socket)

    @property
    def log(self) -> str:
        return (self.path / "log").read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def begin(self, host: str = "rpi1") -> str:
        """A session that counts; its token."""
        session, token = self.admin.issue(host)
        self.admin.begin(session)
        return token

    def host(self, name: str = "rpi1") -> dict[str, Any]:
        """What the report says of a host."""
        (found,) = [one for one in self.admin.budget(1)["hosts"] if one["host"] == name]
        return dict(found)

    def settled(self, name: str = "rpi1") -> float:
        """What the host's session has spent, once nothing is under way any more."""
        for _ in range(100):
            found = self.host(name)
            if found["reserved"] == 0:
                return float(found["spent"])
            time.sleep(0.05)
        raise AssertionError("a call stays reserved")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    found = Upstream()
    yield found
    found.close()


@pytest.fixture
def start(tmp_path: Path, upstream: Upstream) -> Iterator[Callable[..., Running]]:
    """Starts a gateway, with a configuration that differs."""
    running: list[Running] = []

    def begin(**differing: Any) -> Running:
        running.append(Running(tmp_path, upstream.url, **differing))
        return running[-1]

    yield begin
    for one in running:
        if one.process and one.process.poll() is None:
            one.kill(signal.SIGTERM)


@pytest.fixture
def gateway(start: Callable[..., Running]) -> Running:
    return start()


def call(
    url: str, token: str, *, model: str = MODEL, stream: bool = True, **prompt: Any
) -> httpx.Response:
    """One call as a client makes it; the prompt says what shall come back."""
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": 1000,
        "stream": stream,
        "messages": [{"role": "user", "content": json.dumps(prompt)}],
    }
    body |= prompt.pop("also", {})
    return httpx.post(
        f"{url}/v1/messages?beta=true",
        json=body,
        headers={"authorization": f"Bearer {token}", "anthropic-version": "2023-06-01"},
        timeout=30,
        verify=NO_TLS,
    )
