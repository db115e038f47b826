"""What an agent has said, read off its screen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

# Claude Code draws a line above and below its input, and its state below that.
_RULE = re.compile(r"[─━]{10,}.*")
_STATE = re.compile(r"\s{20,}\S")  # and more of it above, at the right
_MARK = re.compile(r"^[\u276f>](?=\s|$)\s*")  # an input line, and the echo of what was sent
_PASTE = re.compile(r"\^\[\[20[01]~")  # how a plain terminal echoes the marks of a paste


def talk(lines: Sequence[str]) -> list[str]:
    """The lines above the input, without blank ones at the end."""
    rules = [number for number, line in enumerate(lines) if _RULE.match(line)]
    boxes = [top for top, _ in pairwise(rules) if _MARK.match(lines[top + 1])]
    kept = list(lines[: boxes[-1]] if boxes else lines)
    if boxes and kept and _STATE.match(kept[-1]):
        kept.pop()
    while kept and (not kept[-1].strip() or not _MARK.sub("", kept[-1])):
        kept.pop()
    return kept


def said(before: Sequence[str], now: Sequence[str], prompt: str = "") -> str:
    """What `now` shows beyond `before`, without the echo of the prompt; both as `talk` gives."""
    same = 0
    while same < min(len(before), len(now)) and before[same] == now[same]:
        same += 1
    new = list(now[same:])
    return "\n".join(new[_echoed(new, prompt) :]).strip("\n")


def _echoed(lines: Sequence[str], prompt: str) -> int:
    """How many lines at the beginning only repeat the prompt, however they are wrapped."""
    rest = "".join(prompt.split())
    first = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    end = first
    for line in lines[first:]:
        piece = "".join(_MARK.sub("", _PASTE.sub("", line)).split())
        if not rest or not rest.startswith(piece):
            break
        rest, end = rest[len(piece) :], end + 1
    if prompt and end == first < len(lines) and _MARK.match(lines[first]):
        end += 1  # a long paste is shown as a remark about it, in one line
    return end
