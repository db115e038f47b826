"""Who wants to hear what changes hears it here; nobody who is slow holds anybody up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orchestrator.desk import News

ROOM = 256  # different news that wait for one listener
ALL = News("all")


class Bus:
    """Tells all listeners. To be used in one event loop's thread."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._listeners: set[_Listener] = set()

    def tell(self, news: News) -> None:
        """Tell everybody, now."""
        for listener in self._listeners:
            listener.put(news)

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[AsyncIterator[News]]:
        """What changes from now on: see Desk.news."""
        listener = _Listener(self._room)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)


class _Listener(AsyncIterator[News]):
    """What one of them has not heard yet: the same news once, and ALL when it is too much."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._waiting: dict[News, None] = {}
        self._some = asyncio.Event()

    def put(self, news: News) -> None:
        if ALL in self._waiting:
            return
        self._waiting[news] = None
        if len(self._waiting) > self._room:
            self._waiting = {ALL: None}
        self._some.set()

    async def __anext__(self) -> News:
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        news = next(iter(self._waiting))
        del self._waiting[news]
        return news
