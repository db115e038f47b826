"""One look: everything a run wants to know of a host, in one remote execution.

What takes it for pyinfra is in facts/looking.py; what is here is plain, and quickly imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from facts.manifests import Manifest, ManifestsProbe
from facts.packages import PackagesProbe
from facts.paths import PathsProbe, PathState
from facts.probe import Probe, split
from facts.services import ServicesProbe, ServiceState
from facts.system import System, SystemProbe
from facts.tailnet import Tailnet, TailnetProbe
from facts.users import UsersProbe
from facts.values import ValuesProbe
from facts.windows import Windows, WindowsProbe
from fleet.resources import Manager, Resources


@dataclass(frozen=True)
class Look:
    """What was seen. Asking for something nobody announced raises LookupError, not "absent"."""

    system: System = field(default_factory=System)
    paths: Mapping[str, PathState] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, ServiceState] = field(default_factory=dict)
    users: frozenset[str] = frozenset()
    values: Mapping[str, str] = field(default_factory=dict)
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    tailnet: Tailnet = field(default_factory=Tailnet)
    windows: Windows = field(default_factory=Windows)
    asked_paths: frozenset[str] = frozenset()

    def path(self, name: str) -> PathState | None:
        """The state of a path, None when nothing has that name."""
        if name not in self.asked_paths:
            raise LookupError(f"nobody looked at {name}")
        return self.paths.get(name)

    def service(self, name: str) -> ServiceState:
        """The state of a service."""
        try:
            return self.services[name]
        except KeyError:
            raise LookupError(f"nobody looked at the service {name}") from None

    def value(self, name: str) -> str:
        """The current value of a setting, empty when it has none."""
        try:
            return self.values[name]
        except KeyError:
            raise LookupError(f"nobody looked at the value {name}") from None


def guard_mark(state_dir: str, capability: str) -> str:
    """A path that exists while a guarded change of the capability waits to be confirmed."""
    return f"{state_dir}/guard/{capability}/undo"


def probes(wanted: Mapping[str, Resources], *, mac: bool, state_dir: str) -> tuple[Probe, ...]:
    """What has to be looked at for these resources (by capability) on this platform."""
    everything = tuple(wanted.values())
    guards = [capability for capability, r in wanted.items() if r.guard]
    files = [file for r in everything for file in r.files]
    services = [service for r in everything for service in r.services]
    programs = [program for r in everything for program in r.programs]
    artifacts = [build.artifact for r in everything for build in r.builds if build.artifact]
    artifacts += [artifact for r in everything for artifact in r.artifacts]
    artifacts += [program.artifact for program in programs]
    large = {artifact.path for artifact in artifacts} | {program.path for program in programs}
    large |= {build.makes for r in everything for build in r.builds if build.makes}
    paths = {
        *(file.path for file in files),
        *(directory.path for r in everything for directory in r.directories),
        *(path for service in services for path in service.inputs),
        *(build.stamp for r in everything for build in r.builds),
        *(program.current for program in programs),
        *large,
        *(guard_mark(state_dir, guarded) for guarded in guards),
        *(r.session.mark for r in everything if r.session),
    }
    managers = (Manager.BREW, Manager.PORT) if mac else (Manager.PACMAN, Manager.APT)
    masked = [unit for r in everything for unit in r.masked]
    return (
        SystemProbe(),
        PathsProbe(
            tuple(sorted(paths)),
            {f.path: f.sha256 for f in files if not f.secret},
            mac=mac,
            unread=frozenset(large),
        ),
        PackagesProbe(tuple(p for r in everything for p in r.packages), managers),
        ServicesProbe(
            (*masked, *(s.name for s in services)),
            mac=mac,
            state_dir=state_dir,
            busy={s.name: s.busy for s in services if s.busy},
        ),
        UsersProbe(tuple(user.name for r in everything for user in r.users)),
        ValuesProbe(tuple(s for r in everything for s in r.values)),
        ManifestsProbe(f"{state_dir}/manifests"),
        TailnetProbe(next((r.node.programs for r in everything if r.node), ())),
        WindowsProbe(next((r.windows for r in everything if r.windows), None)),
    )


def interpret(asked: Sequence[Probe], output: Sequence[str]) -> Look:
    """Turn the output of a composed script into a Look. Raises ValueError on a broken output."""
    sections = split(output)
    seen: dict[str, Any] = {p.name: p.parse(sections.get(p.name, ())) for p in asked}
    paths = next(p for p in asked if isinstance(p, PathsProbe))
    return Look(**seen, asked_paths=frozenset(paths.paths))
