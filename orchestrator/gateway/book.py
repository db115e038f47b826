"""The ledger for many callers at once: one thread of its own, so that nobody waits for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from orchestrator.gateway.ledger import Ledger

T = TypeVar("T")


class Book:
    """Runs what is asked of the ledger in its thread, one after the other."""

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._ledger = self._thread.submit(Ledger, path).result()

    @property
    def orphans(self) -> int:
        """How many calls were under way when an earlier gateway ended."""
        return self._ledger.orphans

    async def ask(self, what: Callable[[Ledger], T]) -> T:
        """What the ledger answers. Carried out to its end even where the caller is cancelled."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, what, self._ledger)
        return await asyncio.shield(future)

    def close(self) -> None:
        """Finish what was asked and close the file."""
        self._thread.submit(self._ledger.close)
        self._thread.shutdown()
