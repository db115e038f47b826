"""What a command works on: the real fleet, or the lab that stands in for it."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.lock import ArtifactsLock, FleetLock, lock_path, read_artifacts_lock, read_fleet_lock
from fleet.model import Fleet, load_fleet
from fleet.problems import FleetError, Problem, WrongUsageError, show, suggest

if TYPE_CHECKING:  # imported late: an installation may have no lab
    from lab.overlay import Overlay

REAL, LAB = "real", "lab"
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Target:
    """A fleet, and all that is needed to reach it and to render it."""

    name: str  # "real" or "lab"
    fleet: Fleet
    known_hosts: Path | None  # host keys to check against; None: those of `lock`
    artifacts: ArtifactsLock
    root: Path  # the repository
    lock: FleetLock = field(default_factory=FleetLock)
    lock_file: Path = field(default_factory=lambda: lock_path(fleet_file()))  # where `lock` is kept


def fleet_file() -> Path:
    """Return the fleet file: $FLEET_FILE, or fleet.yaml at the root of the repository."""
    stated = os.environ.get("FLEET_FILE")
    if not stated:
        return ROOT / "fleet.yaml"
    try:
        return Path(stated).expanduser()
    except RuntimeError:  # `~somebody` whom nobody knows: reading it says what is wrong
        return Path(stated)


def artifacts_file() -> Path:
    """Return the file that pins downloads."""
    return ROOT / "artifacts.lock.yaml"


def target_name(name: str | None = None) -> str:
    """Return the target meant: `name`, or $FLEET_TARGET, or the real fleet; raises FleetError."""
    meant = name or os.environ.get("FLEET_TARGET") or REAL
    if meant not in (REAL, LAB):
        fault = f"{show(meant)} is no target"
        raise WrongUsageError.of("FLEET_TARGET", fault, suggest(meant, (REAL, LAB)))
    return meant


def load_target(name: str | None = None) -> Target:
    """Load the fleet, the locks, and for the lab what it replaces.

    Raises FleetError with the problems of all files, or when there is no lab to point at.
    """
    meant, path = target_name(name), fleet_file()
    problems: list[Problem] = []
    artifacts = ArtifactsLock()
    try:
        artifacts = read_artifacts_lock(artifacts_file())
    except FleetError as error:
        problems += error.problems
    try:
        fleet = load_fleet(path)
    except FleetError as error:
        raise FleetError((*problems, *error.problems)) from None
    if problems:
        raise FleetError(problems)
    known_hosts, lock_file = None, lock_path(path)
    if meant == LAB:
        lab = _overlay(fleet)
        fleet, known_hosts, lock_file = lab.fleet, lab.known_hosts, lab.fleet_lock
        artifacts = lab.artifacts
    lock = read_fleet_lock(lock_file)
    return Target(meant, fleet, known_hosts, artifacts, ROOT, lock, lock_file)


def _overlay(fleet: Fleet) -> Overlay:
    """Return the fleet with the lab's addresses and keys, and what goes with it."""
    try:
        overlay = importlib.import_module("lab.overlay").overlay
    except ModuleNotFoundError as error:
        if error.name not in ("lab", "lab.overlay"):
            raise
        raise FleetError.of("lab", "this installation has no lab", "use a full checkout") from None
    found: Overlay = overlay(fleet)
    return found
