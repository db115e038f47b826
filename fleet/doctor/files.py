"""The files that say what the fleet is, and what a run needs beside them: secrets, room, git."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.doctor.check import Check, fault, fine, run, skipped, tidy, warning

if TYPE_CHECKING:
    from fleet.problems import FleetError
    from fleet.target import Target

ROOM = 1_000_000_000  # bytes that should be free beside what is to be fetched
GB = 1e9


def described(target: Target) -> Iterator[Check]:
    """What the files say, when nothing is wrong with them."""
    from fleet.target import artifacts_file

    hosts = len(target.fleet.hosts)
    known = len([host for host in target.fleet.hosts if host.addresses.tailnet])
    pins = len(target.artifacts.artifacts)
    yield fine("fleet.yaml", f"{hosts} hosts; target: {target.name}")
    says = f"{target.lock_file.name}: {known} of {hosts} addresses in the tailnet are known"
    yield fine("locks", f"{says}; {artifacts_file().name}: {pins} downloads are pinned")


def undescribed(error: FleetError) -> Iterator[Check]:
    """What is wrong with the files, a row a file."""
    for file in dict.fromkeys(problem.file for problem in error.problems):
        mine = [problem for problem in error.problems if problem.file == file]
        first = mine[0]
        key = f"{first.key}: " if first.key else ""
        more = f" (and {len(mine) - 1} more)" if len(mine) > 1 else ""
        says = tidy(f"line {first.line}: {key}{first.fault}{more}" if first.line else first.fault)
        yield fault(tidy(file), says, "fleet validate" if first.line else tidy(first.fix))


def committed(files: tuple[Path, ...]) -> Iterator[Check]:
    """Whether what the fleet follows from is in git: a run writes to it, and git shows what."""
    where = files[0].parent
    there = [file for file in files if file.exists()]
    names = [str(file) for file in there]
    said = run(["git", "-C", str(where), "status", "--porcelain", "--", *names])
    if said.code is None:
        yield warning("git", "there is no git here", "install git")
    elif said.code:
        last = tidy(said.stderr.strip().rpartition("\n")[2])
        fix = f"git -C {shlex.quote(str(where))} init"
        yield warning("git", f"{files[0].name} is in no repository: {last}", fix)
    elif changed := [line[3:] for line in said.stdout.splitlines()]:
        fix = f"git -C {shlex.quote(str(where))} commit {shlex.join(file.name for file in there)}"
        if any(line.startswith("??") for line in said.stdout.splitlines()):
            fix = f"git add, then {fix}"
        yield warning("git", f"not committed: {tidy(', '.join(changed))}", fix)
    else:
        yield fine("git", f"{', '.join(file.name for file in there)}: committed")


def secrets(target: Target, *, commands: bool) -> Iterator[Check]:
    """Whether each secret can be had; commands are run only on demand, since they may ask."""
    from fleet.problems import FleetError
    from fleet.secrets import resolve

    if not target.fleet.secrets:
        yield skipped("secrets", "fleet.yaml names none")
    for name, reference in target.fleet.secrets.items():
        what = f"secret {name}"
        kind = reference.partition(":")[0]
        if kind == "command" and not commands:
            yield skipped(what, "is asked of a command", "fleet doctor --secrets")
            continue
        try:
            resolve(target.fleet, name, "this machine")
        except FleetError as error:
            problem = error.problems[0]
            yield fault(what, tidy(problem.fault.partition(": ")[2]), tidy(problem.fix))
        else:
            yield fine(what, f"is there ({kind}:)")


def cache(target: Target | None) -> Iterator[Check]:
    """Whether downloads can be kept, and have room."""
    from fleet.cache import cache_dir, kept

    path = cache_dir()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        fix = "export AGENTFLEET_CACHE=DIRECTORY"
        yield fault("cache", f"{path} cannot be written: {error.strerror}", fix)
        return
    pins = list(target.artifacts.pins()) if target else []
    missing = sum({p.sha256: p.size for p in pins if not kept(p.sha256).is_file()}.values())
    free = shutil.disk_usage(path).free
    says = f"{path}: {free / GB:.1f} GB free, {missing / GB:.1f} GB of downloads to come"
    if free < missing:
        yield fault("cache", says, "make room, or export AGENTFLEET_CACHE=DIRECTORY")
    elif free < missing + ROOM:
        yield warning("cache", says, "make room, or export AGENTFLEET_CACHE=DIRECTORY")
    else:
        yield fine("cache", says)
