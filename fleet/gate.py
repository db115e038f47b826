"""Whether hosts are well after they were changed, so that the next ones may follow."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from facts.services import service_stem
from fleet.plan import view_of, wanted
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
    down = [one for one, runs in seen.services.items() if not runs and one in _runs(target, name)]
    if down:
        return f"after the change {', '.join(down)} is down: fleet logs {name} {down[0]}"
    return ""


def _runs(target: Target, name: str) -> frozenset[str]:
    """The daemons that shall run there; one that is off in fleet.yaml shall not."""
    everything = wanted(view_of(target, name)).values()
    return frozenset(
        service_stem(one.name)
        for want in everything
        for one in want.services
        if one.is_ours and not one.off
    )
