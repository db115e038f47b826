"""Which capabilities a host gets, and what each of them wants there: the pure half of a run."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol, cast

from facts.look import Look, probes
from fleet.problems import FleetError
from fleet.resources import Resources
from fleet.secrets import resolve
from fleet.target import Target
from fleet.view import HostView
from operations.manifest import names
from operations.plans import HostContext

ONLY = "FLEET_ONLY"  # environment: the capabilities that a run shall touch, commas between them


class Capability(Protocol):
    """A deploy module. It may also have `unavailable(view, look) -> str`, see `unavailable`."""

    __name__: str

    def resources(self, view: HostView) -> Resources:
        """Everything the capability wants on the host."""


def capability_name(module: Capability) -> str:
    """The capability's name: its module's."""
    return module.__name__.rpartition(".")[2]


def view_of(target: Target, host: str) -> HostView:
    """The host as deploy modules see it. Raises FleetError for an unknown name."""
    return HostView(target.fleet, target.fleet.host(host), target.artifacts)


@cache
def capability(name: str) -> Capability:
    """The deploy module of that name. Raises FleetError when there is none."""
    try:
        return cast(Capability, importlib.import_module(f"deploys.{name}"))
    except ModuleNotFoundError as error:
        if error.name != f"deploys.{name}":
            raise
        raise FleetError.of(
            "group_data", f"there is no capability {name!r}", f"write deploys/{name}.py"
        ) from None


@cache
def wanted(view: HostView) -> Mapping[str, Resources]:
    """Everything this host shall have, by capability, in the order of group_data.

    Pure and without secrets: the content of a secret file is empty.
    """
    return {name: resources_of(name, view) for name in view.capabilities}


@cache
def resources_of(name: str, view: HostView) -> Resources:
    """What one capability wants on this host."""
    return capability(name).resources(view)


@cache
def equipped(view: HostView) -> Mapping[str, Resources]:
    """The same with the secrets filled in. Raises FleetError when one cannot be had."""
    return {name: _equip(want, view) for name, want in wanted(view).items()}


def _equip(want: Resources, view: HostView) -> Resources:
    if not any(file.secret for file in want.files):
        return want
    files = tuple(
        replace(file, content=f"{reveal(view, file.secret)}\n".encode()) if file.secret else file
        for file in want.files
    )
    return replace(want, files=files)


def reveal(view: HostView, secret: str) -> str:
    """The value of a secret that this host needs. Raises FleetError naming host and remedy."""
    return resolve(view.fleet, secret, view.host.name).reveal()


@cache
def context_of(name: str, view: HostView) -> HostContext:
    """What operations need to know of the host while they bring the capability `name` to it.

    Raises FleetError when a secret of the host cannot be had.
    """
    return replace(_context(view), capability=name)


@cache
def _context(view: HostView) -> HostContext:
    """What is the same for every capability; made for each, it took a tenth of a run."""
    everything = equipped(view)
    mac, state_dir = view.host.is_mac, view.settings.state_dir
    return HostContext(
        capability="",
        mac=mac,
        state_dir=state_dir,
        asked=probes(everything, mac=mac, state_dir=state_dir),
        wanted=frozenset().union(*(names(want) for want in everything.values())),
        digests={file.path: file.sha256 for want in everything.values() for file in want.files},
    )


def unavailable(module: Capability, view: HostView, look: Look) -> str:
    """Why this host cannot have the capability, with what to do; empty when it can."""
    judge = getattr(module, "unavailable", None)
    return str(judge(view, look)) if judge else ""


@dataclass(frozen=True)
class HostOrder:
    """One capability for one host, as `view_now` sees it each time (operations.change.Order)."""

    capability: str
    view_now: Callable[[], HostView]

    @property
    def view(self) -> HostView:
        """The host as it is known now."""
        return self.view_now()

    def context(self) -> HostContext:
        """What operations need to know of the host."""
        return context_of(self.capability, self.view)

    def want(self) -> Resources:
        """The resources with their secrets; none of a capability the host does not get."""
        return equipped(self.view).get(self.capability, Resources())

    def secret(self, name: str) -> str:
        """The value of a secret that this host needs. Raises FleetError without it."""
        return reveal(self.view, name)

    def hindrance(self, look: Look) -> str:
        """Why the host cannot have it now."""
        if self.capability not in self.view.capabilities:
            return ""
        return unavailable(capability(self.capability), self.view, look)
