"""How an agent is, from what was seen of it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.registry.model import AgentHost, Condition, Money

# What Claude Code (2.1) says when somebody has to log in, at the beginning of its last paragraph.
LOGGED_OUT = (
    "Please run /login",
    "Not logged in",
    "Login expired",
    "Login reached its time limit",
    "Invalid API key",
    "Invalid auth token",
    "OAuth token ",
    "Authentication required",
    "Failed to authenticate",
    "Credit balance is too low",
)
LOGIN_SCREEN = "Select login method"
_DRAWN = " \t\u25cf\u23fa\u23bf\u2022"  # before a paragraph
_BEGINS = re.compile("\\s*[\u25cf\u23fa\u23bf]")
# A choice that it waits for: the mark before one of several numbers.
_CHOICE = re.compile("\\s*[\u2502|]?\\s*\u276f\\s*\\d+\\.\\s")
_OTHER = re.compile("\\s*[\u2502|]?\\s*\\d+\\.\\s")
_LAST_LINES = 40  # of what it said; what scrolled by before is history
QUIET_S = 900.0  # that an agent may say `running` without a new word and is still believed


@dataclass(frozen=True)
class Seen:
    """What was seen of an agent last. Moments are Unix time, 0: never."""

    silent_since: float = 0  # since when it does not answer; 0: it does
    awake: bool = False  # though it does not answer as it should, its host is on
    trouble: str = ""  # why it cannot be asked, in words
    status: str = ""  # stable or running
    said: str = ""  # the end of its last message
    changed: float = 0  # when that, or the status, changed
    fault: str = ""  # what it said was the matter with its agent


def condition(
    host: AgentHost, seen: Seen, money: Money, now: float, *, off: bool
) -> tuple[Condition, str]:
    """How the agent is, and in words what is the matter with it."""
    if off:
        return Condition.OFF, "fleet.yaml has it off"
    if not host.url:
        return Condition.UNKNOWN, "its address in the tailnet is not known yet: run the deploy"
    if seen.silent_since:
        asleep = host.may_sleep and not seen.awake
        return (Condition.ASLEEP if asleep else Condition.UNREACHABLE), seen.trouble
    if seen.status == "running":
        return _running(seen, now)
    if not seen.status:
        return Condition.UNKNOWN, "it was not asked yet"
    return _standing(seen, money)


def _running(seen: Seen, now: float) -> tuple[Condition, str]:
    if now - seen.changed > QUIET_S:
        return Condition.STUCK, "it says that it works, and nothing has changed for long"
    return Condition.WORKING, ""


def _standing(seen: Seen, money: Money) -> tuple[Condition, str]:
    if trouble := needs_somebody(seen.said):
        return trouble
    if seen.fault:
        return Condition.STUCK, seen.fault
    if money.refused:
        return Condition.OVER_BUDGET, money.refused
    return Condition.IDLE, ""


def needs_somebody(said: str) -> tuple[Condition, str] | None:
    """What is the matter with an agent that stands still after these words; None: nothing."""
    lines = [line for line in said.splitlines() if line.strip()][-_LAST_LINES:]
    begins = [number for number, line in enumerate(lines) if _BEGINS.match(line)]
    last = lines[begins[-1] if begins else 0].strip(_DRAWN) if lines else ""
    if last.startswith(LOGGED_OUT):
        return Condition.LOGGED_OUT, f"it says: {last[:200]}"
    if any(_is_choice(lines, number) for number in range(len(lines))):
        if any(LOGIN_SCREEN in line for line in lines):
            return Condition.LOGGED_OUT, "it asks for a login"
        return Condition.STUCK, "it waits in a dialog for somebody to choose"
    return None


def _is_choice(lines: list[str], number: int) -> bool:
    beside = lines[max(0, number - 1) : number] + lines[number + 1 : number + 2]
    return bool(_CHOICE.match(lines[number])) and any(_OTHER.match(line) for line in beside)
