"""Begins sessions on agents: a token from the gateway, brought there over SSH."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.client import Gateway

SESSION_S = 220.0  # an agent is stopped, its home put away, and started anew
CONNECT_S = 10


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
        command = ["ssh", "-F", "/dev/null", "-i", self.key, *settings, *where, verb]
        try:
            run = subprocess.run(
                command, input=says, capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise AgentError(f"{host} did not answer within {timeout_s:g} s") from None
        except FileNotFoundError:
            raise AgentError("there is no ssh on the orchestrator") from None
        if run.returncode:
            raise AgentError(f"{host}: {run.stderr.strip() or f'exit code {run.returncode}'}")
        return run.stdout


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
