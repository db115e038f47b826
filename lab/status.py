"""What the hosts of a lab are doing right now."""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import boot, cgroups
from lab.hosts import host_files
from lab.place import Place
from lab.remote import listens
from lab.spec import LabHost
from lab.tailnet.process import LabTailnet


@dataclasses.dataclass(frozen=True)
class HostStatus:
    """One host: `state` is absent (never started), off, booting or up (its SSH answers)."""

    name: str
    kind: str
    state: str
    lan: str
    tailnet: str  # its address there, empty until it has joined
    port: int
    pid: int | None  # its PID 1, as this machine sees it
    memory_mb: int | None


def look(place: Place, hosts: Sequence[LabHost]) -> list[HostStatus]:
    """Return the status of every host."""
    joined = LabTailnet(place).known()
    with ThreadPoolExecutor(max(1, len(hosts))) as pool:
        return list(pool.map(lambda host: _one(place, host, joined.get(host.name, "")), hosts))


def _one(place: Place, host: LabHost, tailnet: str) -> HostStatus:
    groups = cgroups.find(place, host.name)
    pid = cgroups.first_process(groups)
    if pid is None:
        made = host_files(place, host.name).made.exists()
        state = "booting" if boot.is_alive(place, host.name) else "off" if made else "absent"
    else:
        state = "up" if listens(place.lan(host), host.port) else "booting"
    return HostStatus(
        name=host.name,
        kind=host.kind,
        state=state,
        lan=place.lan(host),
        tailnet=tailnet,
        port=host.port,
        pid=pid,
        memory_mb=_memory(groups),
    )


def _memory(groups: Sequence[Path]) -> int | None:
    """Return the memory that the host's processes share or own, caches included, in MiB."""
    for group in groups:
        for name in ("memory.current", "memory.usage_in_bytes"):
            file = group / name
            if file.exists():
                return int(file.read_text()) // 2**20
    return None
