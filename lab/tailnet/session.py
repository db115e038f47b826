"""A host of the lab, and the tailscaled on it that is connected."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from lab.tailnet.nodes import digest

TAKES_NOTICE_S = 15.0  # for a tailscaled to write down what it was told, on a slow host


@dataclass(frozen=True)
class TailHost:
    """A host of the lab, as the tailnet needs to know it."""

    name: str
    namespace: str
    interface: str
    port: str  # of the switch
    system: str  # linux, macOS, windows

    @property
    def is_windows(self) -> bool:
        """Whether Tailscale runs outside the host, with its person logged in long ago."""
        return self.system == "windows"

    @property
    def not_running(self) -> str:
        """What the command says while no tailscaled runs here."""
        failed = "failed to connect to local"
        if self.system == "macOS":
            return f"{failed} Tailscale service; is Tailscale running?"
        if self.system == "windows":
            return f"{failed} tailscaled process; is the Tailscale service running?"
        hint = "it doesn't appear to be running (sudo systemctl start tailscaled ?)"
        return f"{failed} tailscaled; {hint}"


def state_text(secret: str, *, logged_in: bool) -> str:
    """What a tailscaled keeps: the real one's file has a profile for each login, too."""
    profile = {"profile-1": "Y29ubmVjdGVk"} if logged_in else {}
    return json.dumps({"_machinekey": secret, **profile})


def secret_of(state: str) -> str:
    """The secret in a state file; empty when the file says nothing that we wrote."""
    try:
        found = json.loads(state)
    except ValueError:
        return ""
    return str(found.get("_machinekey", "")) if isinstance(found, dict) else ""


@dataclass
class Session:
    """A tailscaled that is connected. What it is told is numbered, so that it can confirm it."""

    secret: str  # of its host; the tailnet itself keeps a digest
    kept: str  # what its state file holds
    connection: socket.socket
    applied: Path
    told: int = 0
    names: list[str] | None = None

    @property
    def machine(self) -> str:
        """The digest of its secret."""
        return digest(self.secret)

    def tell_state(self, *, logged_in: bool) -> None:
        """Say what to keep: the host's secret, and a profile while it is logged in."""
        state = state_text(self.secret, logged_in=logged_in)
        if state != self.kept:
            self.kept = state
            self.tell(f"state {state}")

    def tell(self, *lines: str) -> None:
        """Say something; a host that is gone does not hear it."""
        self.told += 1
        text = "".join(f"{line}\n" for line in (*lines, f"done {self.told}"))
        try:
            self.connection.sendall(text.encode())
        except OSError:
            return

    def tell_names(self, names: list[str]) -> None:
        """Say who is where, unless that is what it knows."""
        if names != self.names:
            self.names = names
            self.tell("names", *(f"name {line}" for line in names))

    def await_notice(self) -> None:
        """Wait until it has acted on all that it was told."""
        deadline, wanted = time.monotonic() + TAKES_NOTICE_S, self.told
        while time.monotonic() < deadline:
            try:
                if int(self.applied.read_text()) >= wanted:
                    return
            except (OSError, ValueError):
                pass
            time.sleep(0.02)
