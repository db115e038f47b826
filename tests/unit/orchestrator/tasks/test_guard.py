"""The guard: who spends has to say something."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.tasks.guard import Guard, nearly_spent
from tests.unit.orchestrator.tasks.fleets import USD, money


@pytest.mark.parametrize(
    ("cap", "spent", "objects"),
    [
        (1 * USD, 400_000, False),
        (1 * USD, 500_000, False),  # little is never stopped, whatever the share
        (1 * USD, 500_001, True),
        (8 * USD, 2 * USD, False),
        (8 * USD, 2 * USD + 1, True),
    ],
)
def test_a_quarter_in_silence_is_too_much(cap: int, spent: int, objects: bool) -> None:
    assert bool(Guard().objects(money(spent, cap))) is objects


def test_whoever_says_something_begins_anew() -> None:
    guard = Guard()
    for dollars in range(1, 8):
        assert not guard.objects(money(dollars * USD, 8 * USD))
        guard.said(money(dollars * USD, 8 * USD))
    assert guard.objects(money(10 * USD, 8 * USD)) == (
        "it spent $3.00 and said nothing new meanwhile"
    )


def test_money_that_comes_to_its_end_is_said() -> None:
    assert nearly_spent(money(4 * USD, 5 * USD)) == ""
    near = replace(money(4 * USD, 5 * USD), near=True)
    assert nearly_spent(near) == "80 % of its $5.00 are spent"
    assert nearly_spent(replace(money(1 * USD, 5 * USD), near=True)) == ""  # it is the day's
