"""What the latest round found, for those that show it: the page, and `fleet check`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.health.inside import plain
from orchestrator.health.model import Item, Verdict
from orchestrator.health.state import StateError, load

MISSED = 3  # rounds, after which the monitoring is dead
GRACE_S = 60.0  # a round takes its time, and its timer starts it a little late
LATEST = "the latest round of the monitoring ended"
NEVER = "no round of the monitoring has come to its end yet"


@dataclass(frozen=True)
class Report:
    """The latest round. `interval_s` is how long one is after the other; `fault` is why nothing is
    known of it, `undelivered` maps each channel of alerts to what is wrong with it.
    """

    interval_s: float = 0
    ended: float = 0
    items: tuple[Item, ...] = ()
    undelivered: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""

    def age_s(self, now: float) -> float:
        """How long ago that was."""
        return max(0.0, now - self.ended)

    def silence(self, now: float, since: float = 0) -> str:
        """Why nobody looks after the fleet; empty while somebody does, or has only just begun to.

        `since` is a moment before which no round can have been missed.
        """
        if self.fault:
            return self.fault
        age = self.age_s(now)
        if min(age, now - since) <= MISSED * self.interval_s + GRACE_S:
            return ""
        return f"{LATEST} {age / 60:.0f} min ago" if self.ended else NEVER

    def of(self, *verdicts: Verdict) -> tuple[Item, ...]:
        """The items with one of these verdicts."""
        return tuple(one for one in self.items if one.verdict in verdicts)


def read_report(path: Path, interval_s: float) -> Report:
    """What the state says."""
    try:
        state = load(path)
    except StateError as error:
        return Report(interval_s, fault=plain(str(error)))
    undelivered = {name: fault for name, fault in state.faults.items() if fault}
    return Report(interval_s, state.ended, state.items, undelivered)
