"""Run programs of this machine, with failures that say what was run and what it answered."""

import os
import subprocess
from collections.abc import Mapping, Sequence

from lab.errors import LabError

TAIL_LINES = 15


def run(
    argv: Sequence[str],
    *,
    check: bool = True,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program quietly; raise LabError with the end of its output when it fails."""
    try:
        done = subprocess.run(
            list(argv),
            check=False,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, **env} if env else None,
            timeout=timeout,
        )
    except FileNotFoundError as missing:
        raise LabError(f"{argv[0]} is not installed on this machine") from missing
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(argv[:6])} failed ({done.returncode}):\n{tail(done)}")
    return done


def tail(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last lines a program wrote, indented; errors after output."""
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:]) or "  (it wrote nothing)"
