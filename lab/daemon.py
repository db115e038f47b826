"""Processes of a lab on this machine: they outlive the command that starts them, not `down`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lab import cgroups
from lab.errors import LabError
from lab.paths import HERE
from lab.place import Place

STARTS_WITHIN_S = 20.0
LOG_LINES = 15
# It moves into its cgroup before it is anything, so that `down` finds it whatever happens.
_START = 'for group in $1; do echo 0 >"$group/loop/cgroup.procs" || exit 1; done; shift; exec "$@"'


def launch(
    place: Place, cgroup: str, module: str, folder: Path, answers: Callable[[], bool]
) -> None:
    """Start `python -m module folder` in a cgroup of the lab's and wait until it answers.

    Raises LabError with the end of its log (`folder`/log).
    """
    groups = " ".join(str(group) for group in cgroups.create(place, cgroup))
    with (folder / "log").open("a") as log:
        # A session of its own: it outlives this command, and a Ctrl-C does not reach it.
        process = subprocess.Popen(
            ["sh", "-c", _START, "sh", groups, sys.executable, "-m", module, str(folder)],
            cwd=HERE.parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE.parent)},
        )
    deadline = time.monotonic() + STARTS_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        if answers():
            return
        time.sleep(0.05)
    lines = (folder / "log").read_text(errors="replace").splitlines()[-LOG_LINES:]
    words = "\n".join(f"  {line}" for line in lines)
    raise LabError(f"{module} of the lab {place.name} does not start:\n{words}")


def end(place: Place, cgroup: str) -> None:
    """End the process, however it is."""
    groups = cgroups.find(place, cgroup)
    cgroups.kill(groups)
    cgroups.remove(groups)
