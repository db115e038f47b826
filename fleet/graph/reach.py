"""Who may reach what, said of the whole fleet at once: the table of doors with its rows merged."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.doors import Door, Who, doors
from fleet.model import Fleet

NAMED = 3  # hosts; more are counted


@dataclass(frozen=True)
class Way:
    """A door that several hosts have: its name, its ports there, who may come, to which hosts."""

    name: str
    ports: tuple[int, ...]
    who: Who
    hosts: tuple[str, ...]
    operators: bool
    dispatch: tuple[str, ...]  # hosts where the orchestrator comes, where it would not by `who`

    @property
    def label(self) -> str:
        """Its name and ports."""
        return f"{self.name} {', '.join(str(port) for port in self.ports)}"


def ways(fleet: Fleet) -> tuple[Way, ...]:
    """Every door of the fleet, by its lowest port."""
    found: dict[tuple[str, Who], list[tuple[str, Door]]] = {}
    for host in fleet.hosts:
        for door in doors(fleet, host):
            found.setdefault((door.name, door.who), []).append((host.name, door))
    merged = [
        Way(
            name=name,
            ports=tuple(sorted({door.port for _, door in those})),
            who=who,
            hosts=tuple(host for host, _ in those),
            operators=any(door.operators for _, door in those),
            dispatch=tuple(host for host, door in those if door.dispatch),
        )
        for (name, who), those in found.items()
    ]
    return tuple(sorted(merged, key=lambda way: (way.ports, way.name)))


def where(hosts: tuple[str, ...], fleet: Fleet) -> str:
    """Hosts in few words."""
    if len(hosts) == len(fleet.hosts):
        return "every host"
    return ", ".join(hosts) if len(hosts) <= NAMED else f"{len(hosts)} hosts"
