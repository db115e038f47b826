"""Turns that cost and do nothing, and money that comes to its end. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.gateway.money import shown
from orchestrator.registry.model import Money

LEAST = 500_000  # micro-dollars that may always be spent in silence
SHARE = 4  # and of a cap, one part of so many


@dataclass
class Guard:
    """Watches one attempt: what its session has spent, against what it has said meanwhile."""

    spent: int = 0  # when something new was said

    def said(self, money: Money) -> None:
        """Something new was said."""
        self.spent = money.of_session.spent

    def objects(self, money: Money) -> str:
        """Why it must not go on; empty: it may."""
        cap = money.of_session.cap or 0
        idle = money.of_session.spent - self.spent
        if idle <= max(LEAST, cap // SHARE):
            return ""
        return f"it spent {shown(idle)} and said nothing new meanwhile"


def nearly_spent(money: Money) -> str:
    """What to tell people when a session's money comes to its end."""
    percent = money.of_session.percent
    if not money.near or percent is None:
        return ""
    purse = money.of_session
    return f"{percent} % of its {shown(purse.cap or 0)} are spent" if percent >= 80 else ""
