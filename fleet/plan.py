"""Which capabilities a host gets, and what each of them wants there: the pure half of a run."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Protocol, cast

from facts.look import Look, probes
from fleet.problems import FleetError
from fleet.resources import Resources
from fleet.target import Target
from fleet.view import HostView
from operations.change import HostContext
from operations.manifest import names


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


def wanted(view: HostView) -> Mapping[str, Resources]:
    """Everything this host shall have, by capability, in the order of group_data."""
    return {name: capability(name).resources(view) for name in view.capabilities}


@cache
def context_of(name: str, view: HostView) -> HostContext:
    """What operations need to know of the host while they bring the capability `name` to it."""
    everything = wanted(view)
    mac, state_dir = view.host.is_mac, view.settings.state_dir
    return HostContext(
        capability=name,
        mac=mac,
        state_dir=state_dir,
        asked=probes(everything.values(), mac=mac, state_dir=state_dir),
        wanted=frozenset().union(*(names(want) for want in everything.values())),
        digests={file.path: file.sha256 for want in everything.values() for file in want.files},
    )


def unavailable(module: Capability, view: HostView, look: Look) -> str:
    """Why this host cannot have the capability, with what to do; empty when it can."""
    judge = getattr(module, "unavailable", None)
    return str(judge(view, look)) if judge else ""
