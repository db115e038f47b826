"""The ledger for many callers at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from orchestrator import book
from orchestrator.gateway.ledger import Ledger


class Book(book.Book[Ledger]):
    """Runs what is asked of the ledger in its thread, one after the other."""

    def __init__(self, path: Path) -> None:
        super().__init__("ledger", partial(Ledger, path))

    @property
    def orphans(self) -> int:
        """How many calls were under way when an earlier gateway ended."""
        return self._kept.orphans
