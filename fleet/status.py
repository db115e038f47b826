"""How every host is: reached, as fleet.yaml says or not, which services run. Changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum

from facts.look import interpret
from facts.probe import compose
from facts.services import service_stem
from fleet.identity import mismatch
from fleet.model import Power
from fleet.plan import capability, context_of, unavailable, view_of, wanted
from fleet.problems import FleetError
from fleet.ssh import as_root, route
from fleet.target import Target
from operations.plans import RefusedError

TIMEOUT_S = 60.0  # a look at a Raspberry Pi under load takes seconds
AT_ONCE = 32


class State(StrEnum):
    """What is the matter with a host."""

    CONVERGED = "converged"
    CHANGES = "changes pending"
    OFF = "off"
    ERROR = "error"


@dataclass(frozen=True)
class Status:
    """One host. `services` maps the short name of each of our daemons to whether it runs; those
    that fleet.yaml turns off are in `off` instead, unless they run.

    `remarks` are for people: what no run can mend.
    """

    host: str
    state: State
    system: str = ""
    differences: tuple[str, ...] = ()
    services: dict[str, bool] = field(default_factory=dict)
    off: tuple[str, ...] = ()
    error: str = ""
    remarks: tuple[str, ...] = ()


def statuses(target: Target) -> tuple[Status, ...]:
    """The status of every host, in the order of fleet.yaml; one SSH connection each, at once."""
    names = [host.name for host in target.fleet.hosts]
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return tuple(pool.map(lambda name: status(target, name), names))


def status(target: Target, name: str) -> Status:
    """The status of one host. Never raises for what is wrong with the host."""
    from fleet.drift import differences  # brings pyinfra along, which takes a third of a second

    view = view_of(target, name)
    try:
        asked = context_of("status", view).asked
    except FleetError as error:
        return Status(name, State.ERROR, error=str(error))
    answer = as_root(route(view.host, target), compose(asked), TIMEOUT_S)
    if not answer.reached:
        away = answer.nobody_there and view.host.power is not Power.ALWAYS_ON
        return Status(name, State.OFF if away else State.ERROR, error=answer.stderr)
    if answer.code:
        return Status(name, State.ERROR, error=answer.stderr or f"exit code {answer.code}")
    try:
        seen = interpret(asked, answer.stdout.splitlines())
        if reason := mismatch(view.host, seen.system):
            return Status(name, State.ERROR, error=reason)
        found = differences(view, seen)
    except (ValueError, LookupError, RefusedError, FleetError) as error:
        return Status(name, State.ERROR, error=str(error))
    daemons = [
        (s, seen.service(s.name).running)
        for want in wanted(view).values()
        for s in want.services
        if s.is_ours
    ]
    system = seen.system.distribution or seen.system.kernel
    return Status(
        name,
        State.CHANGES if found else State.CONVERGED,
        system=f"{system}/{seen.system.machine}",
        differences=found,
        services={service_stem(s.name): runs for s, runs in daemons if runs or not s.off},
        off=tuple(service_stem(s.name) for s, runs in daemons if s.off and not runs),
        remarks=tuple(
            f"{name}: {remark}"
            for name, want in wanted(view).items()
            for remark in want.remarks
            if not unavailable(capability(name), view, seen)
        ),
    )
