"""News as server-sent events in JSON, for programs. Pages have their own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import StreamingResponse

from orchestrator.desk import Desk
from orchestrator.web.values import plain

HEARTBEAT_S = 15.0
HEADERS = {"x-accel-buffering": "no"}


@dataclass(frozen=True)
class Stream:
    """The stream of a desk's news."""

    desk: Desk

    async def news(self, request: Request) -> StreamingResponse:
        """All news from now on, `{"topic", "id"}` each; a comment now and then in between."""
        return StreamingResponse(self._all(), media_type="text/event-stream", headers=HEADERS)

    async def _all(self) -> AsyncIterator[bytes]:
        yield b": hello\n\n"
        async with self.desk.news() as news:
            coming = asyncio.ensure_future(anext(news))
            try:
                while True:
                    done, _ = await asyncio.wait({coming}, timeout=HEARTBEAT_S)
                    if not done:
                        yield b": still here\n\n"
                        continue
                    yield f"data: {json.dumps(plain(coming.result()))}\n\n".encode()
                    coming = asyncio.ensure_future(anext(news))
            finally:
                coming.cancel()
