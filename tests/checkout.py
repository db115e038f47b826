"""A checkout of its own, for what writes into one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from fleet.target import ROOT

PROGRAMS = ("fleet", "pyinfra")  # each with its interpreter in its first line


def copied(folder: Path) -> Path:
    """All that git knows, as it is now, in a new folder."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in tracked.stdout.decode().split("\0")[:-1]:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def with_programs(checkout: Path) -> Path:
    """The checkout with the programs of this one's environment, as `make venv` leaves it.

    The environment is another folder, of files that call the real ones: whatever clears it clears
    no real one.
    """
    there, here = checkout / ".venv" / "bin", Path(sys.executable).parent
    there.mkdir(parents=True)
    python = there / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    for name in PROGRAMS:
        (there / name).symlink_to(here / name)
    activate = (here / "activate").read_text()
    (there / "activate").write_text(activate.replace(str(here.parent), str(there.parent)))
    (checkout / ".venv" / "ready").touch()
    return checkout
