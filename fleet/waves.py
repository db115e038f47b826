"""In which order hosts are changed, so that what is wrong is noticed before it is everywhere."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from fleet.kinds import Role
from fleet.model import Fleet


@dataclass(frozen=True)
class Wave:
    """Hosts that are changed at the same time; the next wave waits until all of them are well."""

    name: str
    hosts: tuple[str, ...]


def waves(fleet: Fleet, names: Collection[str]) -> tuple[Wave, ...]:
    """The waves for these hosts; none of them is empty.

    The orchestrator first, since the others fetch from it and are watched by it; then the first
    host of each role, the canaries; then the rest.
    """
    boss = tuple(host.name for host in fleet.with_role(Role.ORCHESTRATOR) if host.name in names)
    canaries: list[str] = []
    rest: list[str] = []
    seen: set[Role] = set()
    for host in fleet.hosts:
        if host.name not in names or host.name in boss:
            continue
        (rest if host.role in seen else canaries).append(host.name)
        seen.add(host.role)
    found = (
        Wave("orchestrator", boss),
        Wave("canaries", tuple(canaries)),
        Wave("rest", tuple(rest)),
    )
    return tuple(wave for wave in found if wave.hosts)
