"""Keep what the hosts have become under a tag, and go back to it.

A snapshot is a copy of what each host has written above its image, taken while it stands still.
"""

import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import boot, cgroups
from lab.errors import LabError, UsageError
from lab.hosts import HostFiles, host_files
from lab.place import Place
from lab.shell import run
from lab.tailnet import store

PARALLEL_COPIES = 4
LAB = ".lab"  # in a snapshot beside its hosts: what the lab knew of them, as files
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def folder(place: Place, tag: str) -> Path:
    """Return where a snapshot is."""
    if not _TAG.fullmatch(tag) or tag.endswith(".part"):
        raise UsageError(f"{tag!r} cannot be a snapshot's name: use letters, digits, '.', '_', '-'")
    return place.state / "snapshots" / tag


def tags(place: Place) -> list[str]:
    """Return the names of all snapshots."""
    found = place.state.glob("snapshots/*")
    return sorted(file.name for file in found if not file.name.endswith((".part", ".old")))


def take(place: Place, tag: str, names: Sequence[str]) -> None:
    """Copy the hosts' states; running hosts stand still meanwhile. Replaces an older one."""
    target = folder(place, tag)
    part = target.with_name(f"{tag}.part")
    shutil.rmtree(part, ignore_errors=True)
    groups = [group for name in names for group in cgroups.find(place, name)]
    try:
        cgroups.freeze(groups, frozen=True)
        with ThreadPoolExecutor(PARALLEL_COPIES) as pool:
            list(pool.map(lambda name: _keep(host_files(place, name), part / name), names))
        for name, file in _knowledge(place).items():
            if file.exists():
                (part / LAB).mkdir(exist_ok=True)
                shutil.copy(file, part / LAB / name)
    finally:
        cgroups.freeze(groups, frozen=False)
    _swap(part, target)


def _knowledge(place: Place) -> dict[str, Path]:
    """Return the files that have to fit what the hosts are: the tailnet, what runs learned."""
    tailnet = {name: place.tailnet / name for name in (store.STATE, store.KEY)}
    return {**tailnet, place.fleet_lock.name: place.fleet_lock}


def _keep(files: HostFiles, target: Path) -> None:
    target.mkdir(parents=True)
    _copy(files.upper, target / "upper")
    shutil.copy(files.made, target / "layers")


def kept(place: Place, tag: str) -> list[str]:
    """Return the hosts of a snapshot."""
    source = folder(place, tag)
    if not source.is_dir():
        known = ", ".join(tags(place)) or "none yet"
        raise LabError(f"the lab {place.name} has no snapshot {tag}; there is: {known}")
    return sorted(file.name for file in source.iterdir() if file.name != LAB)


def put_back(place: Place, tag: str, names: Sequence[str]) -> None:
    """Halt these hosts and give them the states of the snapshot; they stay off."""
    source = folder(place, tag)
    for name in names:
        _check_layers(source / name)
    with ThreadPoolExecutor(PARALLEL_COPIES) as pool:
        list(pool.map(lambda name: _put_back_one(place, source / name, name), names))
    for name, file in _knowledge(place).items():
        file.unlink(missing_ok=True)
        if (source / LAB / name).exists():
            file.parent.mkdir(mode=0o700, exist_ok=True)
            shutil.copy(source / LAB / name, file)


def _check_layers(kept_host: Path) -> None:
    for layer in (kept_host / "layers").read_text().strip().split(":"):
        if not Path(layer).is_dir():
            raise LabError(
                f"the snapshot's {kept_host.name} stands on an image layer that is gone: {layer}"
            )


def _put_back_one(place: Place, source: Path, name: str) -> None:
    files = host_files(place, name)
    boot.stop(place, name)
    files.made.unlink(missing_ok=True)  # until the copy is whole, the host counts as not made
    shutil.rmtree(files.upper, ignore_errors=True)
    files.directory.mkdir(parents=True, exist_ok=True)
    _copy(source / "upper", files.upper)
    shutil.copy(source / "layers", files.made)


def _copy(source: Path, target: Path) -> None:
    run(["cp", "-a", "--reflink=auto", str(source), str(target)])


def _swap(part: Path, target: Path) -> None:
    old = target.with_name(f"{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    part.rename(target)
    shutil.rmtree(old, ignore_errors=True)
