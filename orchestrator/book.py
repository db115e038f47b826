"""A database for many callers at once: one thread of its own, so that nobody waits for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar


class Closing(Protocol):
    """What is kept open."""

    def close(self) -> None:
        """Write everything back."""


T = TypeVar("T")
Kept = TypeVar("Kept", bound=Closing)


class Book(Generic[Kept]):
    """Runs what is asked of what `make` opens in that thread, one after the other."""

    def __init__(self, name: str, make: Callable[[], Kept]) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        try:
            self._kept = self._thread.submit(make).result()
        except BaseException:
            self._thread.shutdown()
            raise

    async def ask(self, what: Callable[[Kept], T]) -> T:
        """What it answers. Carried out to its end even where the caller is cancelled."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, what, self._kept)
        return await asyncio.shield(future)

    def close(self) -> None:
        """Finish what was asked and close it."""
        self._thread.submit(self._kept.close)
        self._thread.shutdown()
