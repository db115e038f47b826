"""A host's cgroups: its limits, and the one sure way to find and end all of its processes.

With cgroup v1 they are nested below the caller's, so that no limit of the session is escaped;
with v2, where a cgroup with processes cannot have limited children, below the root.
"""

import os
import time
from pathlib import Path

from lab.errors import LabError
from lab.place import Place

MOUNT = Path("/sys/fs/cgroup")
V1_HIERARCHIES = ("unified", "systemd", "memory", "pids")
V2_CONTROLLERS = ("memory", "pids", "cpu")
SEARCH_DEPTH = 8
PATIENCE = 20.0  # seconds for killed processes to be gone


def is_v2() -> bool:
    """Tell whether this machine has only the unified hierarchy."""
    return (MOUNT / "cgroup.controllers").exists()


def hierarchies() -> list[Path]:
    """Return the mount points of the hierarchies that a host gets cgroups in."""
    if is_v2():
        return [MOUNT]
    return [MOUNT / name for name in V1_HIERARCHIES if (MOUNT / name).is_dir()]


def create(place: Place, host: str) -> list[Path]:
    """Make a host's cgroup in every hierarchy; return them."""
    made = []
    for hierarchy in hierarchies():
        top = _callers(hierarchy) / place.cgroup
        group = top / host
        (group / "loop").mkdir(parents=True, exist_ok=True)
        if hierarchy == MOUNT:
            for parent in (hierarchy, top, group):
                _delegate(parent)
        made.append(group)
    if not made:
        raise LabError(f"this machine has no cgroups in {MOUNT}: systemd cannot run in the hosts")
    return made


def _delegate(group: Path) -> None:
    wanted = " ".join(f"+{name}" for name in V2_CONTROLLERS)
    try:
        (group / "cgroup.subtree_control").write_text(wanted)
    except OSError as error:
        raise LabError(
            f"the controllers {', '.join(V2_CONTROLLERS)} cannot be enabled in {group} "
            f"({error.strerror}).\nInside a container, the container needs a delegated cgroup "
            "with no processes in its root; run the lab on the machine itself."
        ) from error


def _callers(hierarchy: Path) -> Path:
    """Return the cgroup that this process is in, without a lab that it may be a part of."""
    if hierarchy == MOUNT:
        return hierarchy
    wanted = {"unified": "", "systemd": "name=systemd"}.get(hierarchy.name, hierarchy.name)
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if names == wanted or wanted in names.split(","):
            return hierarchy / path.strip("/")
    return hierarchy


def find(place: Place, host: str | None = None) -> list[Path]:
    """Return the lab's cgroups (or one host's) in every hierarchy, wherever they were nested."""
    found = []
    for hierarchy in hierarchies():
        for folder, names, _ in os.walk(hierarchy):
            if place.cgroup in names:
                found.append(Path(folder, place.cgroup))
                names.remove(place.cgroup)
            if len(Path(folder).relative_to(hierarchy).parts) >= SEARCH_DEPTH:
                names.clear()
    if host is not None:
        found = [top / host for top in found if (top / host).is_dir()]
    return found


def processes(groups: list[Path]) -> set[int]:
    """Return the ids of all processes in these cgroups and below."""
    pids: set[int] = set()
    for group in groups:
        for folder, _, _ in os.walk(group):
            try:
                pids.update(int(pid) for pid in Path(folder, "cgroup.procs").read_text().split())
            except OSError:
                continue
    return pids


def first_process(groups: list[Path]) -> int | None:
    """Return the process that is PID 1 of the container in these cgroups."""
    for pid in sorted(processes(groups)):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        seen = next((ln.split()[1:] for ln in status.splitlines() if ln.startswith("NSpid:")), [])
        if len(seen) == 2 and seen[1] == "1" and Path(f"/proc/{pid}/exe").exists():
            return pid
    return None


def kill(groups: list[Path]) -> None:
    """End every process in these cgroups at once, like a power cut; wait until they are gone."""
    deadline = time.monotonic() + PATIENCE
    while pids := processes(groups):
        for group in groups:
            _kill_group(group)
        for pid in pids:
            end_process(pid)
        if time.monotonic() > deadline:
            names = ", ".join(str(pid) for pid in sorted(pids))
            raise LabError(f"these processes do not end: {names}")
        time.sleep(0.02)


def _kill_group(group: Path) -> None:
    switch = group / "cgroup.kill"
    if switch.exists():
        switch.write_text("1")


def end_process(pid: int) -> None:
    """Kill one process, which may have ended already."""
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def freeze(groups: list[Path], *, frozen: bool) -> None:
    """Stop all processes in these cgroups for a while, or let them go on."""
    for group in groups:
        switch = group / "cgroup.freeze"
        if switch.exists():
            switch.write_text("1" if frozen else "0")
            _await_frozen(group, frozen=frozen)


def _await_frozen(group: Path, *, frozen: bool) -> None:
    deadline = time.monotonic() + PATIENCE
    wanted = f"frozen {int(frozen)}"
    while wanted not in (group / "cgroup.events").read_text():
        if time.monotonic() > deadline:
            raise LabError(f"{group.name} cannot be {'frozen' if frozen else 'thawed'}")
        time.sleep(0.01)


def remove(groups: list[Path]) -> None:
    """Remove cgroups that have no processes any more."""
    for group in groups:
        for folder, _, _ in os.walk(group, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError:
                continue
