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
    folder = target.lock_file.parent / "state"
    if target.name != LAB:
        base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
        folder = Path(os.environ.get(STATE) or f"{base}/agentfleet").expanduser()
        folder /= target.fleet.name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
