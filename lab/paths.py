"""Where the lab keeps things: the cache of images, and one state directory per lab."""

import os
import re
from pathlib import Path

from fleet.cache import cache_dir
from lab.errors import UsageError

__all__ = ["cache_dir", "lab_name", "state_dir", "state_root"]

DEFAULT_LAB = "demo"
HERE = Path(__file__).resolve().parent
IMAGES = HERE / "images"
STANDINS = HERE / "standins"
RUN = Path("/run/agentfleet-lab")
# A lab's name becomes part of namespace, cgroup and directory names; the dot is their separator.
LAB_NAME = re.compile(r"[a-z][a-z0-9-]{0,23}")


def lab_name(name: str | None = None) -> str:
    """Return the lab's name: the given one, $FLEET_LAB or the default; refuse unusable ones."""
    chosen = name or os.environ.get("FLEET_LAB") or DEFAULT_LAB
    if not LAB_NAME.fullmatch(chosen):
        raise UsageError(
            f"{chosen!r} cannot be a lab's name: use up to 24 letters a-z, digits and '-', "
            "a letter first"
        )
    return chosen


def state_root() -> Path:
    """Return the directory of all labs' states ($AGENTFLEET_LAB_STATE overrides it)."""
    return Path(os.environ.get("AGENTFLEET_LAB_STATE") or "/var/lib/agentfleet-lab")


def state_dir(name: str) -> Path:
    """Return one lab's state directory."""
    return state_root() / name
