"""Keep what the hosts have become under a tag, and go back to it.

A snapshot is a copy of what each host has written above its layers, taken while it stands still. A
host that goes back to it gets that copy as one more read-only layer: nothing is copied then.
"""

import re
import secrets
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import boot, cgroups
from lab.errors import LabError, UsageError
from lab.hosts import HostFiles, host_files, strata_folder
from lab.place import Place
from lab.shell import run
from lab.tailnet import store

PARALLEL_COPIES = 4
LAB = ".lab"  # in a snapshot beside its hosts: what the lab knew of them, as files
# Of snapshots taken of hosts that stand on snapshots: a mount's options have to fit into a page.
MOST_STRATA = 16
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
    collect(place)
    hosts = {name: host_files(place, name) for name in names}
    if too_high := [name for name, files in hosts.items() if len(files.strata) >= MOST_STRATA]:
        why = f"{MOST_STRATA} snapshots stand on one another"
        raise LabError(f"{', '.join(too_high)}: {why}: `fleet lab reset`")
    copies = strata_folder(place) / secrets.token_hex(4)
    groups = [group for name in names for group in cgroups.find(place, name)]
    try:
        cgroups.freeze(groups, frozen=True)
        with ThreadPoolExecutor(PARALLEL_COPIES) as pool:
            list(pool.map(lambda name: _keep(hosts[name], copies / name, part / name), names))
        for name, file in _knowledge(place).items():
            if file.exists():
                (part / LAB).mkdir(exist_ok=True)
                shutil.copy(file, part / LAB / name)
    finally:
        cgroups.freeze(groups, frozen=False)
    _swap(part, target)
    collect(place)


def collect(place: Place) -> None:
    """Remove the copies that neither a host nor a snapshot stands on."""
    stands = [place.state.glob("hosts/*/layers"), place.state.glob("snapshots/*/*/layers")]
    used = "\n".join(file.read_text() for files in stands for file in files)
    for copies in strata_folder(place).glob("*"):
        if str(copies) not in used:
            shutil.rmtree(copies)


def _knowledge(place: Place) -> dict[str, Path]:
    """Return the files that have to fit what the hosts are: the tailnet, what runs learned."""
    tailnet = {name: place.tailnet / name for name in (store.STATE, store.KEY)}
    return {**tailnet, place.fleet_lock.name: place.fleet_lock}


def _keep(files: HostFiles, copy: Path, target: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    run(["cp", "-a", "--reflink=auto", str(files.upper), str(copy)])
    target.mkdir(parents=True)
    (target / "layers").write_text(f"{copy}:{files.lowers}\n")


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
    if (kept_host / "upper").exists():  # a copy of its own: so it was before there were strata
        raise LabError("this snapshot was taken by an earlier version: take it anew")
    for layer in (kept_host / "layers").read_text().strip().split(":"):
        if not Path(layer).is_dir():
            raise LabError(
                f"the snapshot's {kept_host.name} stands on an image layer that is gone: {layer}"
            )


def _put_back_one(place: Place, source: Path, name: str) -> None:
    files = host_files(place, name)
    boot.stop(place, name)
    files.made.unlink(missing_ok=True)  # until all is in place, the host counts as not made
    shutil.rmtree(files.upper, ignore_errors=True)
    files.upper.mkdir(parents=True)
    shutil.copy(source / "layers", files.made)


def _swap(part: Path, target: Path) -> None:
    old = target.with_name(f"{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    part.rename(target)
    shutil.rmtree(old, ignore_errors=True)
