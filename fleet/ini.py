"""Keys in somebody else's INI file: read, and set without touching anything else in it."""

from __future__ import annotations

import re

_SECTION = re.compile(r"\s*\[\s*([^]]*?)\s*\]")
_KEY = re.compile(r"\s*([^#;=\s][^=]*?)\s*=\s*(.*?)\s*$")


def value(text: str, section: str, key: str) -> str | None:
    """The value of a key, the last one counts; None when it is not there. Case does not count."""
    found = None
    for inside, line in _lines(text):
        pair = _KEY.match(line)
        if pair and inside == section.lower() and pair[1].lower() == key.lower():
            found = pair[2]
    return found


def with_value(text: str, section: str, key: str, wanted: str) -> str:
    """The text in which the key has that value: in its place, in its section, or at the end.

    Line ends stay what they are; a new line gets those of the first.
    """
    end = "\r\n" if "\r\n" in text else "\n"
    line = f"{key}={wanted}{end}"
    done: list[str] = []
    head, last = None, None
    for inside, old in _lines(text):
        if inside == section.lower():
            pair = _KEY.match(old)
            if pair and pair[1].lower() == key.lower():
                last = len(done)
            elif _SECTION.match(old) and head is None:
                head = len(done)
        done.append(old)
    if last is not None:
        done[last] = line
    elif head is not None:
        done[head] = _ended(done[head], end)
        done.insert(head + 1, line)
    else:
        if done:
            done[-1] = _ended(done[-1], end)
        done += [f"[{section}]{end}", line]
    return "".join(done)


def _ended(line: str, end: str) -> str:
    return line if line.endswith("\n") else line + end


def _lines(text: str) -> list[tuple[str, str]]:
    """Each line with its end, and the section it is in."""
    found, section = [], ""
    for line in re.findall(r"[^\n]*\n|[^\n]+$", text):
        if head := _SECTION.match(line):
            section = head[1].lower()
        found.append((section, line))
    return found
