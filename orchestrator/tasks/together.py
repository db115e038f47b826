"""Writes that can wait a moment, in one transaction: a disk is slow to promise, so it does it once.

Fifty agents that talk want a hundred writes a second; a disk may take 10 ms for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from orchestrator.book import Book
from orchestrator.tasks.store import Store

T = TypeVar("T")
What = Callable[[Store], Any]


class Together:
    """Asks the store what came within `gather_s`, or while it was asked the last time, at once."""

    def __init__(self, book: Book[Store], gather_s: float) -> None:
        self._book, self._gather_s = book, gather_s
        self._waiting: list[tuple[What, asyncio.Future[Any]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, what: Callable[[Store], T]) -> T:
        """What the store answers, once it is written. All of a transaction fails with one of it.

        Carried out to its end even where the caller is cancelled, if `settled` is awaited.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((what, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await answer

    async def settled(self) -> None:
        """Wait until nothing waits."""
        if self._asking is not None:
            await asyncio.wait({self._asking})

    async def _ask_all(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._gather_s)
            now, self._waiting = self._waiting, []
            await self._ask_these(now)
        self._asking = None

    async def _ask_these(self, those: Sequence[tuple[What, asyncio.Future[Any]]]) -> None:
        try:
            answers = await self._book.ask(lambda store: _whole(store, [what for what, _ in those]))
        except Exception as error:  # whoever asked hears of it
            for _, future in those:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(those, answers, strict=True):
            if not future.done():  # its caller may be gone
                future.set_result(answer)


def _whole(store: Store, whats: Sequence[What]) -> list[Any]:
    with store.whole():
        return [what(store) for what in whats]
