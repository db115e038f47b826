"""Talks to the orchestrator's services, each through its socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from orchestrator.plain import NO_TLS

TIMEOUT_S = 20.0
SILENCE_S = 120.0  # of a stream, which has heartbeats
WHO = "X-Agentfleet-Who"  # believed where only those come in who may say it
MOST_WHO = 100


class ServiceError(Exception):
    """A service cannot be asked, or says no; the text says why."""


class GatewayError(ServiceError):
    """The gateway's."""


class QuarantineError(ServiceError):
    """The quarantine's."""


class _Service:
    name: str
    error: type[ServiceError]

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket), verify=NO_TLS),
            base_url=f"http://{self.name}",
            timeout=TIMEOUT_S,
            trust_env=False,
        )

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's
        try:
            response = self._client.request(method, path, **more)
            said: dict[str, Any] = response.json()
        except (httpx.HTTPError, ValueError) as error:
            words = f"the {self.name} does not answer at {self._socket}: {error}"
            raise self.error(f"{words}; see journalctl -u agentfleet-{self.name}") from None
        if response.is_error:
            raise self.error(str(said.get("error", response.status_code)))
        return said


class Gateway(_Service):
    """The gateway's admin door. All methods raise GatewayError."""

    name, error = "gateway", GatewayError

    def budget(self, days: int) -> dict[str, Any]:
        """What everybody has spent."""
        return self._ask("GET", "/budget", params={"days": days})

    def kill(self, hosts: list[str] | None) -> dict[str, Any]:
        """Revoke the sessions of these hosts, or of all."""
        return self._ask("POST", "/kill", json={"hosts": hosts} if hosts else {"all": True})

    def issue(self, host: str, cap: float | None = None, purpose: str = "agent") -> tuple[str, str]:
        """A new session and its token.

        `cap` is in dollars, and never more than the host's own; `purpose` is agent or plan.
        """
        wanted = {"host": host, "purpose": purpose} | ({} if cap is None else {"cap": cap})
        said = self._ask("POST", "/sessions", json=wanted)
        return said["session"], said["token"]

    def begin(self, session: str) -> None:
        """The session counts from now on."""
        self._ask("POST", f"/sessions/{session}/begin")

    def end(self, session: str) -> None:
        """The session is over."""
        self._ask("DELETE", f"/sessions/{session}")


class Page:
    """The page's door for commands: who may connect to it is its file's mode."""

    def __init__(self, socket: Path, who: str) -> None:
        self._socket = socket
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket), verify=NO_TLS),
            base_url="http://localhost",
            timeout=httpx.Timeout(TIMEOUT_S, read=SILENCE_S),
            trust_env=False,
            headers={WHO: header(who)},
        )

    @contextmanager
    def ask(self, method: str, path: str, body: bytes, kind: str) -> Iterator[httpx.Response]:
        """The answer, still to be read: it may have no end. Raises ServiceError."""
        headers = {"Content-Type": kind} if body else {}
        try:
            with self._client.stream(method, path, content=body, headers=headers) as response:
                yield response
        except httpx.HTTPError as error:
            words = f"the orchestrator's page does not answer at {self._socket}: {error}"
            raise ServiceError(f"{words}; see journalctl -u agentfleet-orchestrator") from None


def header(text: str) -> str:
    """The text as a header may have it: printable ASCII, no line end."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:MOST_WHO].strip()


def words_of(body: bytes) -> str:
    """What an error of the page says: problem+json, else as it is."""
    try:
        said = json.loads(body)
    except ValueError:
        return body.decode(errors="replace").strip()
    found = said if isinstance(said, dict) else {}
    return str(found.get("detail") or found.get("title") or found.get("error") or said)


class Quarantine(_Service):
    """The quarantine's admin door. All methods raise QuarantineError."""

    name, error = "quarantine", QuarantineError

    def blocked(self) -> dict[str, Any]:
        """Who is blocked, and why."""
        return self._ask("GET", "/blocked")

    def unblock(self, worker: str) -> dict[str, Any]:
        """Let a worker in again."""
        return self._ask("DELETE", f"/blocked/{quote(worker, safe='')}")
