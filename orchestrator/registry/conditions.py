"""How an agent is, from what was seen of it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.registry.model import AgentHost, Condition, Money

# What Claude Code's screen says when nobody can work with it, in its own words (2.1).
LOGGED_OUT = (
    "Please run /login",
    "Invalid API key",
    "Select login method",
    "OAuth token ",
    "Credit balance is too low",
)
# A choice that it waits for: an arrow before a number, perhaps in a frame.
_CHOICE = re.compile("^\\s*[\u2502|]?\\s*\u276f\\s*\\d+\\.\\s", re.MULTILINE)
_LAST_LINES = 40  # of what it said; what scrolled by before is history
QUIET_S = 900.0  # that an agent may say `running` without a new word and is still believed


@dataclass(frozen=True)
class Seen:
    """What was seen of an agent last. Moments are Unix time, 0: never."""

    silent_since: float = 0  # since when it does not answer; 0: it does
    status: str = ""  # stable or running
    said: str = ""  # the end of its last message
    changed: float = 0  # when that, or the status, changed
    fault: str = ""  # what it said was the matter with its agent
    trouble: str = ""  # why it cannot be reached, in words


def condition(
    host: AgentHost, seen: Seen, money: Money, now: float, *, off: bool
) -> tuple[Condition, str]:
    """How the agent is, and in words what is the matter with it."""
    if off:
        return Condition.OFF, "fleet.yaml has it off"
    if not host.url:
        return Condition.UNKNOWN, "its address in the tailnet is not known yet: run the deploy"
    if seen.silent_since:
        return (Condition.ASLEEP if host.may_sleep else Condition.UNREACHABLE), seen.trouble
    if not seen.status:
        return Condition.UNKNOWN, "it was not asked yet"
    if seen.status == "running":
        return _working(seen, now)
    if trouble := needs_somebody(seen.said):
        return trouble
    if seen.fault:
        return Condition.STUCK, seen.fault
    if money.refused:
        return Condition.OVER_BUDGET, money.refused
    return Condition.IDLE, ""


def _working(seen: Seen, now: float) -> tuple[Condition, str]:
    if now - seen.changed > QUIET_S:
        return Condition.STUCK, "it says that it works, and has said nothing for long"
    return Condition.WORKING, ""


def needs_somebody(said: str) -> tuple[Condition, str] | None:
    """What is the matter with an agent that stands still after these words; None: nothing."""
    end = "\n".join(said.splitlines()[-_LAST_LINES:])
    if words := next((one for one in LOGGED_OUT if one in end), ""):
        return Condition.LOGGED_OUT, f"it says: {words.strip()}"
    if _CHOICE.search(end):
        return Condition.STUCK, "it waits in a dialog for somebody to choose"
    return None
