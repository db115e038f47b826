"""The gateway's sessions for a loop that waits for nobody: each question in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orchestrator.client import Gateway
from orchestrator.gateway.money import dollars


class Payments:
    """What the desk asks of the gateway besides budgets. All raise client.ServiceError."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def issue(self, host: str, cap: int, purpose: str) -> tuple[str, str]:
        """A session with a cap in micro-dollars, and its token."""
        return await asyncio.to_thread(self._gateway.issue, host, dollars(cap), purpose)

    async def kill(self, hosts: Sequence[str]) -> None:
        """Pay for nothing on these hosts any more."""
        if hosts:  # of nobody, the gateway would take it for all
            await asyncio.to_thread(self._gateway.kill, list(hosts))

    async def end(self, session: str) -> None:
        """Pay for this session no more."""
        await asyncio.to_thread(self._gateway.end, session)
