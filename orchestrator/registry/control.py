"""Agents' hosts, as the tasks need them: sessions begun, code brought, patches fetched."""

from __future__ import annotations

import asyncio
import json
import shlex
from dataclasses import dataclass

from orchestrator.client import Gateway
from orchestrator.gateway.money import dollars
from orchestrator.sessions import SESSION_S, AgentError, Agents

STATUS_S = 45.0  # it asks the agent itself, which may be taking a message
CODE_S = 180.0


@dataclass(frozen=True)
class Run:
    """Which session of an agent goes on, and which start of its process that is."""

    session: str
    run: str


class Control:
    """All methods raise AgentError, or ServiceError for what the gateway says.

    What was begun is brought to its end, even where nobody waits for it any more: a session whose
    token nobody uses must not stay valid.
    """

    def __init__(self, agents: Agents, gateway: Gateway) -> None:
        self._agents, self._paying = agents, gateway

    async def status(self, host: str) -> Run:
        """What goes on there."""
        text = await asyncio.to_thread(self._agents.control, host, "status", "", STATUS_S)
        try:
            said = json.loads(text)
            return Run(str(said["session"]), str(said["run"]))
        except (ValueError, LookupError, TypeError):
            raise AgentError(f"{host}: agentctl does not say what goes on there") from None

    async def new_session(self, host: str, cap: int | None) -> str:
        """End what goes on there and begin anew; the session's name. `cap`: micro-dollars."""
        return await asyncio.shield(asyncio.to_thread(self._begin, host, cap))

    def _begin(self, host: str, cap: int | None) -> str:
        limit = None if cap is None else dollars(cap)
        session, token = self._paying.issue(host, limit)
        try:
            self._agents.control(host, "new-session", f"{session}\n{token}\n", SESSION_S)
        except BaseException:
            self._paying.end(session)
            raise
        self._paying.begin(session)
        return session

    async def bring_code(self, host: str, name: str, commit: str, bundle: bytes) -> str:
        """Check a bundle's commit out there: the path."""
        said = await self._exchange(host, f"take-code {name} {commit}", bundle)
        path = said.decode("utf-8", "replace").strip()
        if not path.startswith("/") or "\n" in path:
            raise AgentError(f"{host}: agentctl does not say where the code is")
        return path

    async def patch(self, host: str, name: str, commit: str) -> bytes:
        """What was changed there since the commit."""
        return await self._exchange(host, f"patch {shlex.quote(name)} {commit}", b"")

    async def _exchange(self, host: str, command: str, says: bytes) -> bytes:
        return await asyncio.to_thread(self._agents.exchange, host, command, says, CODE_S)
