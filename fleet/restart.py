"""Restart one daemon of a host, as runs do it, and see that it stays up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fleet.daemons import WALL
from fleet.managers import LAUNCHD_FUNCTIONS, SYSTEMD_FUNCTIONS
from fleet.problems import FleetError
from fleet.resources import RestartPolicy, RunningService
from fleet.ssh import as_root, route, unreached
from fleet.target import Target
from fleet.terminal import harmless
from fleet.units import TIMER, short_name, units
from fleet.view import HostView
from operations.plans import wrap
from operations.shell import quote

LIMIT_S = 180.0  # an agent is asked for up to 25 s, stops within 10, and a slow Pi starts it
PLISTS = "/Library/LaunchDaemons"
_BUSY = "@@agentfleet-busy "


class Outcome(StrEnum):
    """What became of the service."""

    RESTARTED = "restarted"
    BUSY = "busy"
    FAILED = "failed"


@dataclass(frozen=True)
class Restarted:
    """How it went; `said` are the last words of one that does not run, or who is at work."""

    host: str
    unit: str
    outcome: Outcome
    said: str = ""


def refuse_what_does_not_run(view: HostView, service: RunningService) -> None:
    """Raise FleetError for a service that is not to run now."""
    name, host = short_name(service.name), view.host.name
    if service.off:
        fix = f"turn it on there, then: fleet apply --limit {host}"
        raise FleetError.of(host, f"fleet.yaml says that {name} is off here", fix)
    if service.name.endswith(TIMER):
        fix = f"see when it ran: fleet logs {host} {name}"
        raise FleetError.of(host, f"{name} runs when it is time, and then ends", fix)


def at_stake(view: HostView, service: RunningService) -> tuple[RunningService, ...]:
    """The services whose work a restart of this one would end."""
    everything = units(view).values()
    ends_all = short_name(service.name) == WALL  # what stands behind it stops with it
    return tuple(
        one
        for one in everything
        if one.policy is RestartPolicy.WHEN_IDLE and one.busy and (ends_all or one == service)
    )


def restart(target: Target, view: HostView, service: RunningService, *, now: bool) -> Restarted:
    """Restart it in one connection; where somebody is at work, only `now`. Raises FleetError."""
    host, unit = view.host.name, short_name(service.name)
    answer = as_root(
        route(view.host, target), wrap(restart_script(view, service, now=now)), LIMIT_S
    )
    if not answer.reached:
        raise unreached(view.host, answer)
    busy = [
        short_name(line.removeprefix(_BUSY))
        for line in answer.stdout.splitlines()
        if line.startswith(_BUSY)
    ]
    if busy:
        return Restarted(host, unit, Outcome.BUSY, f"{', '.join(map(harmless, busy))} is at work")
    if answer.code:
        said = harmless(answer.stderr) or f"exit code {answer.code}"
        return Restarted(host, unit, Outcome.FAILED, said)
    return Restarted(host, unit, Outcome.RESTARTED)


def restart_script(view: HostView, service: RunningService, *, now: bool) -> str:
    """Shell for `operations.change.wrap`. It asks who is busy right before it restarts."""
    name = quote(service.name)
    there = (
        f"[ -f {PLISTS}/{name}.plist ]"
        if view.host.is_mac
        else f"systemctl cat {name} >/dev/null 2>&1"
    )
    remedy = f"is not on this host yet: fleet apply --limit {view.host.name}"
    lines = [LAUNCHD_FUNCTIONS if view.host.is_mac else SYSTEMD_FUNCTIONS]
    lines.append(f"{there} || fail {name} {quote(remedy)}")
    for one in () if now else at_stake(view, service):
        lines.append(
            f"if ( {one.busy} ) >/dev/null 2>&1; then echo {quote(_BUSY + one.name)}; exit 0; fi"
        )
    return "\n".join((*lines, f"bring restart {name}", f"settle {name}"))
