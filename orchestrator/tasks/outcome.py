"""What an agent's last words say of how it went. Pure; everything in there is hostile text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from orchestrator.registry.conditions import LOGGED_OUT
from orchestrator.tasks.model import Message

REASON_LENGTH = 500
_BULLETS = " \t\u25cf\u23fa\u23bf\u2022*>|\xa0"  # what Claude Code draws before a paragraph
_NEW = re.compile("\\s*[\u25cf\u23fa]")  # a paragraph begins
_PRINTED = re.compile("\\s*[\u25cf\u23fa\u23bf]")  # or what came of a call
_PROMPT = "\u276f"  # before what the user said
_STATUS_LINES = 3  # at the end, where it says that it works
_WORKING = "\u00b7\u2722\u2733\u2736\u273b\u273d"  # the first sign of the line that says how long
_WORKS = re.compile(f"\\s*[{_WORKING}] \\S+\u2026(\\s|$)")


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


def answered(messages: Sequence[Message], before: str = "") -> bool:
    """Whether the agent said something after it was told, and is not at work any more.

    `before` is what it had said last until then: a screen that is drawn anew shows that again. On a
    host that is short of time nothing is drawn for seconds, and the agent seems to stand still.
    """
    known = {_words(line) for line in before.splitlines()}
    asked: str | None = None
    lines: list[str] = []
    for one in messages:
        if one.role == "user":
            asked, lines = " ".join(one.content.split()), []
        elif asked is not None:
            lines += [line for line in one.content.splitlines() if line.strip()]
    if any(_WORKS.match(line) for line in lines[-_STATUS_LINES:]):
        return False
    said = _without_echo(lines, asked or "")
    return any(_NEW.match(line) or _words(line) not in known for line in said)


def _without_echo(lines: Sequence[str], asked: str) -> Iterator[str]:
    """Without what the user said, which the screen shows, too, in as many lines as that takes."""
    echo = False
    for line in lines:
        begins = line.lstrip().startswith(_PROMPT)
        goes_on = echo and not _NEW.match(line)
        words = " ".join(line.strip().removeprefix(_PROMPT).split())
        echo = (begins or goes_on) and words in asked
        if not echo:
            yield line


def _words(line: str) -> str:
    """Without what is drawn around them, where there are any."""
    return " ".join(re.findall(r"\w+", line)) or line.strip()


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
