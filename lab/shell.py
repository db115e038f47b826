"""Run programs of this machine, with failures that say what was run and what it answered."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from lab.errors import LabError

TAIL_LINES = 15
# A program started with this prefix dies with the thread that started it, even by SIGKILL.
MORTAL = ("setpriv", "--pdeathsig", "KILL")


def run(
    argv: Sequence[str],
    *,
    check: bool = True,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    mortal: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program quietly; raise LabError with the end of its output when it fails.

    It does not outlive this process, unless it is better left to finish (`mortal=False`).
    """
    if not shutil.which(argv[0]):
        raise LabError(f"{argv[0]} is not installed on this machine")
    done = subprocess.run(
        [*(MORTAL if mortal and shutil.which(MORTAL[0]) else ()), *argv],
        check=False,
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, **env} if env else None,
        timeout=timeout,
    )
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(argv[:6])} failed ({done.returncode}):\n{tail(done)}")
    return done


def tail(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last lines a program wrote, indented; errors after output."""
    lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:]) or "  (it wrote nothing)"


def isolated() -> list[str]:
    """Return the prefix that gives a program namespaces of its own and lets it die with us.

    Its mounts vanish with it, and no child of it survives it or this process.
    """
    return [
        *MORTAL,
        *("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"),
    ]
