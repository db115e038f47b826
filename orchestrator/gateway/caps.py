"""Whether a call may be made: what is spent and reserved, against the caps. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.gateway.money import shown


@dataclass(frozen=True)
class Spent:
    """Micro-dollars: settled, and held back for calls whose answer is still to come."""

    settled: int = 0
    reserved: int = 0


@dataclass(frozen=True)
class Purse:
    """One cap and what is spent of it; without a `cap` there is no limit."""

    name: str  # as in "this session has spent …"
    spent: Spent
    cap: int | None

    @property
    def left(self) -> int | None:
        """What is not settled yet of the cap, never below zero."""
        return None if self.cap is None else max(0, self.cap - self.spent.settled)

    def refuses(self, estimate: int) -> bool:
        """Whether a call of that cost would be too much.

        A call alone may use what is left, however little: so the whole cap can be spent, and is
        exceeded by one call at most. With others under way there must be room for all of them.
        """
        if self.cap is None:
            return False
        if self.spent.settled >= self.cap:
            return True
        alone = self.spent.reserved == 0
        return not alone and self.spent.settled + self.spent.reserved + estimate > self.cap

    def near(self, percent: int) -> bool:
        """Whether so much of the cap is spent that it should be said."""
        return self.cap is not None and self.spent.settled * 100 >= self.cap * percent

    def why(self) -> str:
        """In words for people and agents."""
        under_way = f" and {shown(self.spent.reserved)} under way" if self.spent.reserved else ""
        spent, cap = shown(self.spent.settled), shown(self.cap or 0)
        return f"{self.name} has spent {spent} of its {cap}{under_way}"


Purses = tuple[Purse, ...]
REMEDY = "a new session has a new cap: fleet new-session {host}"


def refusal(purses: Purses, estimate: int, host: str) -> str:
    """Why a call may not be made, empty when it may."""
    for purse in purses:
        if purse.refuses(estimate):
            remedy = f" ({REMEDY.format(host=host)})" if purse is purses[0] else ""
            return f"budget: {purse.why()}{remedy}"
    return ""


def warning(purses: Purses, percent: int) -> str:
    """What to tell an agent before it is refused; empty while there is enough."""
    for purse in purses:
        if purse.near(percent):
            share = purse.spent.settled * 100 // (purse.cap or 1)
            return f"budget: {share} %: {purse.why()}: come to an end"
    return ""
