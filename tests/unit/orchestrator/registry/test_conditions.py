"""How an agent is, from what was seen of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.registry.conditions import QUIET_S, Seen, condition, needs_somebody
from orchestrator.registry.model import AgentHost, Condition, Money

PI = AgentHost("pi", "pi", "debian", "aarch64", "always-on", "http://pi", True, True)
LAPTOP = replace(PI, name="laptop", power="sleeps")
NOW = 2_000_000_000.0
WELL = Seen(status="stable", said="done", changed=NOW)


@pytest.mark.parametrize(
    ("host", "seen", "money", "expected"),
    [
        (PI, WELL, Money(), Condition.IDLE),
        (PI, Seen(), Money(), Condition.UNKNOWN),
        (replace(PI, url=""), WELL, Money(), Condition.UNKNOWN),
        (PI, replace(WELL, status="running"), Money(), Condition.WORKING),
        (PI, replace(WELL, silent_since=NOW, trouble="gone"), Money(), Condition.UNREACHABLE),
        (LAPTOP, replace(WELL, silent_since=NOW), Money(), Condition.ASLEEP),
        (PI, replace(WELL, said="\u25cf Please run /login"), Money(), Condition.LOGGED_OUT),
        (PI, replace(WELL, said="x\n \u276f 1. Yes\n   2. No"), Money(), Condition.STUCK),
        (PI, replace(WELL, fault="it crashed"), Money(), Condition.STUCK),
        (PI, WELL, Money(refused="budget: spent"), Condition.OVER_BUDGET),
        # It is not stuck on `working` for ever.
        (PI, replace(WELL, status="running", changed=NOW - QUIET_S - 1), Money(), Condition.STUCK),
        # One at work is at work, whatever it quotes meanwhile.
        (
            PI,
            replace(WELL, status="running", said="Please run /login"),
            Money(),
            Condition.WORKING,
        ),
    ],
)
def test_conditions(host: AgentHost, seen: Seen, money: Money, expected: Condition) -> None:
    assert condition(host, seen, money, NOW, off=False)[0] is expected
    assert condition(host, seen, money, NOW, off=True)[0] is Condition.OFF


def test_what_is_not_idle_says_why() -> None:
    gone = replace(WELL, silent_since=NOW, trouble="no route")
    assert condition(PI, gone, Money(), NOW, off=False)[1] == "no route"
    assert "budget" in condition(PI, WELL, Money(refused="budget: 5"), NOW, off=False)[1]


def test_old_screens_are_history() -> None:
    assert needs_somebody("Please run /login" + "\nline" * 60) is None
    assert needs_somebody("a list:\n  1. one\n  2. two\n> ") is None
