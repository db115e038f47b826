"""Money: whole micro-dollars, so that sums are exact; what is shown is dollars."""

from __future__ import annotations

MICROS = 1_000_000  # in a dollar


def micros(dollars: float) -> int:
    """Dollars as micro-dollars."""
    return round(dollars * MICROS)


def dollars(amount: int) -> float:
    """Micro-dollars as dollars, for JSON."""
    return amount / MICROS


def shown(amount: int) -> str:
    """Micro-dollars for people: whole cents, rounded up, so that little is never nothing."""
    cents = -(-amount * 100 // MICROS)
    return f"${cents / 100:.2f}"
