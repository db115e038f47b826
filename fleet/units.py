"""The daemons of a host by their short names, as `fleet status` shows them."""

from __future__ import annotations

from collections.abc import Mapping

from facts.services import service_stem
from fleet.plan import view_of, wanted
from fleet.problems import FleetError, show, suggest
from fleet.resources import RunningService
from fleet.target import Target
from fleet.view import HostView

TIMER = ".timer"


def short_name(name: str) -> str:
    """What people call a service: its unit or label without prefix of ours and suffix."""
    return service_stem(name).removesuffix(TIMER)


def units(view: HostView) -> Mapping[str, RunningService]:
    """What the plan keeps running on the host, by short name; what is only told of files is not."""
    found: dict[str, RunningService] = {}
    for want in wanted(view).values():
        for service in want.services:
            if not service.notify:
                found.setdefault(short_name(service.name), service)
    return found


def find(target: Target, host: str, name: str) -> RunningService:
    """The service of that name on the host. Raises FleetError with a guess and what there is."""
    known = units(view_of(target, host))
    found = known.get(short_name(name))
    if found is None:
        raise _unknown(target, host, name, known)
    return found


def _unknown(
    target: Target, host: str, name: str, known: Mapping[str, RunningService]
) -> FleetError:
    others = [one.name for one in target.fleet.hosts if name in units(view_of(target, one.name))]
    if others:
        fix = f"it has: {', '.join(known)}; {name} is on: {', '.join(others)}"
        return FleetError.of(host, f"fleet.yaml gives it no {name}", fix)
    return FleetError.of(host, f"no service here is called {show(name)}", suggest(name, known))
