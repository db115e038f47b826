"""What an agent's last words say of how it went. Pure; everything in there is hostile text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.registry.conditions import LOGGED_OUT
from orchestrator.tasks.model import Message

REASON_LENGTH = 500
_BULLETS = " \t\u25cf\u23fa\u23bf\u2022*>|\xa0"  # what Claude Code draws before a paragraph
_NEW = re.compile("\\s*[\u25cf\u23fa]")  # a paragraph begins
_PRINTED = re.compile("\\s*[\u25cf\u23fa\u23bf]")  # or what came of a call
_WORKING = "\u00b7\u2722\u2733\u2736\u273b\u273d"  # the first sign of the line that says how long


def fault_of(messages: Sequence[Message]) -> str:
    """Why the answer is none: an error that Claude Code printed in its place; empty: it is one.

    Only the last paragraph counts: an agent may quote an error, and go on.
    """
    said = next((one.content for one in reversed(messages) if one.role == "agent"), "")
    lines = [line for line in said.splitlines() if line.strip()]
    for number in range(len(lines) - 1, -1, -1):
        if number and not _PRINTED.match(lines[number]):
            continue
        text = lines[number].strip(_BULLETS)
        if text.startswith("API Error"):
            whole = " ".join([text, *(line.strip(_BULLETS) for line in lines[number + 1 :])])
            return _short(whole)
        if text.startswith(LOGGED_OUT):
            return _short(text)
        if _NEW.match(lines[number]):
            break
    return ""


def answered(messages: Sequence[Message]) -> bool:
    """Whether the agent said something after it was told."""
    told = False
    for one in messages:
        told = told or one.role == "user"
        if told and one.role == "agent" and one.content.strip():
            return True
    return False


def substance(messages: Sequence[Message]) -> int:
    """Changes when something new is said; not for what is drawn while the agent works."""
    lines = (line.strip() for one in messages for line in one.content.splitlines())
    return hash(tuple(line for line in lines if line and line[0] not in _WORKING))


def since(messages: Sequence[Message], floor: int) -> tuple[Message, ...]:
    """What was said after the message of that number, from the first that a user said on."""
    new = [one for one in messages if one.number > floor]
    first = next((place for place, one in enumerate(new) if one.role == "user"), len(new))
    return tuple(new[first:])


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= REASON_LENGTH else words[: REASON_LENGTH - 1] + "…"
