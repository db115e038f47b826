"""What this machine keeps of a fleet between commands, outside of the repository."""

from __future__ import annotations

import os
from pathlib import Path

from fleet.target import LAB, Target

STATE = "AGENTFLEET_STATE"  # environment: another directory for it


def state_dir(target: Target) -> Path:
    """The fleet's directory, for this user alone; made when it is not there.

    A lab's is the lab's own, and goes with it.
    """
    if target.name == LAB:
        return _made(target.lock_file.parent / "state")
    return _made(_base() / target.fleet.name)


def runs_dir() -> Path:
    """The directory with a file for each run of this machine that is under way, or has died."""
    return _made(_base() / "runs.d")


def _base() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(os.environ.get(STATE) or f"{base}/agentfleet").expanduser()


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
