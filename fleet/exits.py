"""How commands end. The number is what a script, cron or CI goes by, so it never changes."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes."""

    DONE = 0  # or nothing to do
    ERROR = 1
    CHANGES = 2  # changes or restarts are pending
    OFF = 3  # hosts are pending because they are off, which they may be
    LOCKED = 4
    STALE = 5  # a saved plan is not what would happen now
    USAGE = 64
    INTERRUPTED = 130


_WORST_FIRST = (
    Exit.INTERRUPTED,
    Exit.LOCKED,
    Exit.STALE,
    Exit.ERROR,
    Exit.CHANGES,
    Exit.OFF,
)


def worst(exits: Iterable[Exit]) -> Exit:
    """The one that says most of several."""
    found = set(exits)
    return next((one for one in _WORST_FIRST if one in found), Exit.DONE)
