"""Typing a command line as a person does: in a shell, at a terminal where it asks something."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.doclines import Line
from tests.doclines.typed import Typed

LONGEST_S = 300
ASKS = ": "  # the end of a question
TERMINAL = {"COLUMNS": "200", "TERM": "dumb"}


@dataclass(frozen=True)
class Said:
    """How a line ended, and all that it printed."""

    code: int
    text: str


def run(text: str, cwd: Path, env: Mapping[str, str], answers: Sequence[str] = ()) -> Said:
    """Type a line, and the answers to its questions; without answers nobody is there."""
    command, env = ["bash", "-c", text], {**env, **TERMINAL}
    if not answers:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LONGEST_S,
            check=False,
        )
        return Said(done.returncode, done.stdout.decode(errors="replace"))
    own, its = pty.openpty()
    try:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=its, stdout=its, stderr=its, start_new_session=True
        )
        os.close(its)
        said = _talk(own, [*answers])
        if process.poll() is None and not select.select([own], [], [], 0)[0]:
            process.kill()
        return Said(process.wait(), said.replace("\r\n", "\n"))
    finally:
        os.close(own)


def _talk(terminal: int, answers: list[str]) -> str:
    """Answer each question; what was printed until the other end is closed."""
    said, heard, deadline = "", 0, time.monotonic() + LONGEST_S
    while select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
        try:
            said += os.read(terminal, 1 << 16).decode(errors="replace")
        except OSError:  # it is
            break
        if answers and said[heard:].endswith(ASKS):
            os.write(terminal, f"{answers.pop(0)}\n".encode())
            heard = len(said)
    return said


def check(line: Line, typed: Typed, said: Said, words: str) -> None:
    """Hold what a line has printed, and how it has ended, against what the document says.

    `words` is what it `says`, with the names and facts of the test.
    """
    report = f"{line.id}: {line.text}\nended with {said.code}:\n{said.text[-4000:]}"
    assert said.code == typed.ends, report
    assert "Traceback" not in said.text, report
    assert words in said.text, f"it does not say {words!r}\n{report}"
    headings = r"\s{2,}".join(map(re.escape, line.columns)) if typed.table else ""
    assert re.search(headings, said.text), f"its table has no longer {line.columns}\n{report}"
