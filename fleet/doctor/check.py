"""One check: what was looked at, whether it is right, and the next command to type."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

LONGEST = 400  # characters of what somebody else said
RUN_S = 30.0


class Verdict(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """A row of the table; `fix` is the next command to type, or what else to do."""

    what: str
    verdict: Verdict
    says: str
    fix: str = ""


def fine(what: str, says: str) -> Check:
    """It is right."""
    return Check(what, Verdict.OK, says)


def warning(what: str, says: str, fix: str = "") -> Check:
    """Most works all the same."""
    return Check(what, Verdict.WARNING, says, fix)


def fault(what: str, says: str, fix: str) -> Check:
    """It does not work like that."""
    return Check(what, Verdict.FAULT, says, fix)


def skipped(what: str, says: str, fix: str = "") -> Check:
    """It was not looked at."""
    return Check(what, Verdict.SKIPPED, says, fix)


def guarded(what: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    """What a look finds. What it raises is a finding, too."""
    try:
        return list(look())
    except Exception as error:
        for problem in getattr(error, "problems", ()):  # a FleetError, which may not be importable
            return [fault(what, tidy(problem.fault), tidy(problem.fix))]
        said = tidy(f"{type(error).__name__}: {error}")
        return [fault(what, f"could not be looked at: {said}", "make venv")]


def tidy(said: str) -> str:
    """What a program or a host said: one line, no control codes, not too long."""
    words = " ".join(said.split())
    shown = "".join(one if one.isprintable() else "?" for one in words)
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"


@dataclass(frozen=True)
class Said:
    """What a program of this machine answered; None where there is no such program."""

    code: int | None
    stdout: str = ""
    stderr: str = ""


def run(command: Sequence[str], timeout_s: float = RUN_S) -> Said:
    """Run a program of this machine that asks nobody anything. Never raises."""
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Said(-1, "", f"no answer within {timeout_s:g} s")
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        return Said(None if missing else -1, "", error.strerror or str(error))
    return Said(done.returncode, done.stdout, done.stderr)
