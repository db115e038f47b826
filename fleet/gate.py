"""Whether hosts are well after they were changed, so that the next ones may follow."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from fleet.status import AT_ONCE, State, status
from fleet.target import Target


def ailing(target: Target, names: Sequence[str]) -> dict[str, str]:
    """The hosts that are not well, and why: one look at each, all at once."""
    if not names:
        return {}
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        found = pool.map(lambda name: _ails(target, name), names)
        return {name: reason for name, reason in zip(names, found, strict=True) if reason}


def _ails(target: Target, name: str) -> str:
    seen = status(target, name)
    if seen.state in (State.ERROR, State.OFF):
        return f"after the change: {seen.error or 'it does not answer any more'}"
    if down := [one for one, runs in seen.services.items() if not runs]:
        return f"after the change {', '.join(down)} is down: fleet logs {name} {down[0]}"
    return ""
