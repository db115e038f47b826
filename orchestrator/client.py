"""Talks to the gateway through its socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

TIMEOUT_S = 20.0


class GatewayError(Exception):
    """The gateway cannot be asked, or says no; the text says why."""


class Gateway:
    """The gateway's admin door. All methods raise GatewayError."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)),
            base_url="http://gateway",
            timeout=TIMEOUT_S,
            trust_env=False,
        )

    def budget(self, days: int) -> dict[str, Any]:
        """What everybody has spent."""
        return self._ask("GET", "/budget", params={"days": days})

    def kill(self, hosts: list[str] | None) -> dict[str, Any]:
        """Revoke the sessions of these hosts, or of all."""
        return self._ask("POST", "/kill", json={"hosts": hosts} if hosts else {"all": True})

    def issue(self, host: str) -> tuple[str, str]:
        """A new session and its token."""
        said = self._ask("POST", "/sessions", json={"host": host})
        return said["session"], said["token"]

    def begin(self, session: str) -> None:
        """The session counts from now on."""
        self._ask("POST", f"/sessions/{session}/begin")

    def end(self, session: str) -> None:
        """The session is over."""
        self._ask("DELETE", f"/sessions/{session}")

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's
        try:
            response = self._client.request(method, path, **more)
            said: dict[str, Any] = response.json()
        except (httpx.HTTPError, ValueError) as error:
            words = f"the gateway does not answer at {self._socket}: {error}"
            raise GatewayError(f"{words}; see journalctl -u agentfleet-gateway") from None
        if response.is_error:
            raise GatewayError(str(said.get("error", response.status_code)))
        return said
