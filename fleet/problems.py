"""What is wrong with a file, where, and what would be right: the error every loader raises."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

SHOWN_AT_MOST = 50  # problems rendered; a file with more is better mended from the top
LONGEST_VALUE = 60  # characters of a value or key that are repeated in a message
LONGEST_GUESS = 80  # characters; did-you-mean is quadratic, and nobody mistypes a whole page


@dataclass(frozen=True)
class Problem:
    """One fault of one file.

    `line` counts from 1; 0 means that no line is to blame (a file that cannot be read).
    `key` is the path to the value, such as `hosts.NAME.role`; empty for the whole file.
    """

    file: str
    line: int
    key: str
    fault: str
    fix: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        fault = f"{self.key}: {self.fault}" if self.key else self.fault
        lines = [f"{place}: {fault}", f"    {self.fix}" if self.fix else ""]
        return "\n".join(printable(line) for line in lines if line)

    def as_dict(self) -> dict[str, str | int]:
        """Return the problem as the plain mapping that `--json` prints."""
        return {
            "file": self.file,
            "line": self.line,
            "key": self.key,
            "fault": self.fault,
            "fix": self.fix,
        }


class FleetError(Exception):
    """One or more problems, reported together. Its text is what the user reads."""

    exit_code: ClassVar[int] = 1

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems, each once, in the order of file and line."""
        ordered = sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line, p.key))
        self.problems: tuple[Problem, ...] = tuple(ordered)
        super().__init__(self.problems)

    @classmethod
    def of(cls, file: str, fault: str, fix: str, *, line: int = 0, key: str = "") -> FleetError:
        """Return an error that holds a single problem."""
        return cls((Problem(file, line, key, fault, fix),))

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems[:SHOWN_AT_MOST]]
        rest = len(self.problems) - SHOWN_AT_MOST
        if rest > 0:
            lines.append(f"… and {rest} more: mend these first")
        return "\n".join(lines)


class WrongUsageError(FleetError):
    """The command was called in a way that cannot work, whatever the files hold."""

    exit_code = 64  # EX_USAGE of sysexits.h


class OffError(FleetError):
    """A host is off that may be."""

    exit_code = 3


class FetchError(OSError):
    """A source of a download that does not give what it should, and what to do about it."""

    def __init__(self, fault: str, fix: str = "") -> None:
        super().__init__(fault)
        self.fix = fix


def printable(text: str) -> str:
    """Return the text with control codes spelled out, so that no file can paint a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def show(value: object) -> str:
    """Return a value as a message repeats it: quoted, on one line, short, without control codes."""
    if isinstance(value, str):
        return shorten(json.dumps(value, ensure_ascii=not value.isprintable()))
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return shorten(str(value))


def shorten(text: str) -> str:
    """Return the text, cut in the middle when it is longer than a message should repeat."""
    if len(text) <= LONGEST_VALUE:
        return text
    return f"{text[: LONGEST_VALUE - 12]}…{text[-10:]}"


def show_path(path: Iterable[str | int]) -> str:
    """Return a key path such as `hosts.NAME.without[0]`; odd keys are quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = part.replace("-", "").replace("_", "").replace("/", "").replace("@", "")
            shown = shorten(part) if plain.isalnum() else show(part)
            text += f".{shown}" if text else shown
    return text


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that the writer of `word` most likely meant, or None."""
    if len(word) > LONGEST_GUESS:
        return None
    by_fold = {candidate.casefold(): candidate for candidate in candidates}
    found = difflib.get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.6)
    return by_fold[found[0]] if found else None


def suggest(word: str, candidates: Iterable[str], *, prefer: str | None = None) -> str:
    """Return the sentence that says what would be right instead of `word`."""
    known = list(candidates)
    guess = prefer or closest(word, known)
    choices = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    if guess:
        return f'did you mean "{guess}"? known: {choices}'
    return f"use one of: {choices}" if known else ""
