"""Services: enabled, running with their current inputs, verified after every start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyinfra.api import operation

from facts.look import Look
from facts.services import ServiceState, told_stem
from fleet.managers import LAUNCHD_FUNCTIONS, SYSTEMD_FUNCTIONS
from fleet.resources import RestartPolicy, RunningService
from operations.change import Change, Commands, HostContext, Order, carry_out
from operations.shell import quote, words


@operation()
def mask(order: Order) -> Commands:
    """Keep units from ever running: before the package that brings them can start them."""
    yield from carry_out("masks", order, lambda want, _, look: plan_masks(want.masked, look))


@operation()
def ensure(order: Order) -> Commands:
    """Start what should run, restart what runs with old inputs, tell others of new files."""
    yield from carry_out(
        "services", order, lambda want, context, look: plan(want.services, context, look)
    )


def plan_masks(units: tuple[str, ...], look: Look) -> Change | None:
    """The units that are not masked, or still run."""
    loose = [u for u in units if not look.service(u).masked or look.service(u).running]
    if not loose:
        return None
    lines = "\n".join(
        f"systemctl mask {quote(unit)}\nsystemctl stop {quote(unit)} 2>/dev/null || true"
        for unit in loose
    )
    return Change(tuple(f"unit {unit}: mask" for unit in loose), lines)


@dataclass(frozen=True)
class _Act:
    """What to do about one service; without a script it has to wait."""

    says: str
    script: str


def plan(services: tuple[RunningService, ...], context: HostContext, look: Look) -> Change | None:
    """What is wrong with each service, and its cure.

    The context's digests say what a service's inputs will be, also while they are not written yet.
    """
    acts: list[_Act] = []
    for service in services:
        if _skipped(service, look):
            continue
        current = _current(service, context.digests, look)
        now = look.service(service.name)
        if service.notify:
            act = _judge_notified(service, now, current, context, look)
        else:
            act = _judge_running(service, now, current, context)
        acts += [act] if act else []
    if not acts:
        return None
    preface = LAUNCHD_FUNCTIONS if context.mac else SYSTEMD_FUNCTIONS
    scripts = [act.script for act in acts if act.script]
    return Change(
        says=tuple(act.says for act in acts if act.script),
        script="\n".join((preface, *scripts)) if scripts else "",
        pending=tuple(act.says for act in acts if not act.script),
    )


def _skipped(service: RunningService, look: Look) -> bool:
    if service.unless_virtual and look.system.container:
        return True
    return service.unless_absent and not look.service(service.name).loaded


def _current(service: RunningService, digests: Mapping[str, str], look: Look) -> Mapping[str, str]:
    """The digest each input should have when the service runs; inputs that nobody has are out."""
    found = {}
    for path in service.inputs:
        now = look.path(path)
        digest = digests.get(path) or (now.sha256 if now else "")
        if digest:
            found[path] = digest
    return found


def _judge_running(
    service: RunningService, now: ServiceState, current: Mapping[str, str], context: HostContext
) -> _Act | None:
    if service.off:
        return _judge_off(service, now)
    name, outdated = quote(service.name), _outdated(service, now, current)
    if now.running and outdated:
        if service.policy is RestartPolicy.WHEN_IDLE and now.busy:
            return _Act(f"service {service.name}: restart pending until it is idle: {outdated}", "")
        return _Act(f"service {service.name}: restart: {outdated}", f"bring restart {name}")
    wrong = []
    if not now.enabled:
        wrong.append("enable")
    if not now.running:
        wrong.append("start after a failure" if now.failed else "start")
    elif now.stale:
        wrong.append("reload its definition")
    if not wrong:
        return None
    # On a Mac a start is preceded by a stop, which a running job must not suffer for a flag.
    only_flag = context.mac and wrong == ["enable"]
    script = f"launchctl enable system/{name}" if only_flag else f"bring start {name}"
    return _Act(f"service {service.name}: {', '.join(wrong)}", script)


def _judge_off(service: RunningService, now: ServiceState) -> _Act | None:
    """Turned off by its owner's word, so nothing is too busy for it."""
    wrong = [*(["disable"] if now.enabled else []), *(["stop"] if now.running else [])]
    if not wrong:
        return None
    says = f"service {service.name}: {', '.join(wrong)}, since it is off in fleet.yaml"
    return _Act(says, f"rest {quote(service.name)}")


def _outdated(service: RunningService, now: ServiceState, current: Mapping[str, str]) -> str:
    """Why the running process is not the one that should run; empty when it is."""
    if not now.loaded:
        return "its definition is gone"
    if not service.inputs:
        return ""
    if now.stamp is None:
        return "nobody noted what it started with"
    changed = _changed(now.stamp, current)
    return f"{', '.join(changed)} changed" if changed else ""


def _changed(stamp: Mapping[str, str], current: Mapping[str, str]) -> list[str]:
    return sorted(
        path for path in stamp.keys() | current.keys() if stamp.get(path) != current.get(path)
    )


def _judge_notified(
    service: RunningService,
    now: ServiceState,
    current: Mapping[str, str],
    context: HostContext,
    look: Look,
) -> _Act | None:
    """Somebody else's service: told once of each new content, noted where reboots do not reach.

    A file about to be mended counts as new content, whatever the service was told before.
    """
    on_disk = {path: state.sha256 for path in current if (state := look.path(path))}
    told = {path: at for path, at in (now.told or {}).items() if path in service.inputs}
    if on_disk == current and not _changed(told, current):
        return None
    directory = quote(f"{context.state_dir}/notified")
    name = told_stem(service.name, service.teller)
    stamp = quote(f"{context.state_dir}/notified/{name}.stamp")
    digest = "shasum -a 256" if context.mac else "sha256sum"
    note = f"{digest} {words(*current)}" if current else ":"
    script = f"""{service.notify} {quote(service.name)}
mkdir -p {directory}
{note} >{stamp}.new
mv -f {stamp}.new {stamp}"""
    return _Act(f"service {service.name}: take notice of {', '.join(service.inputs)}", script)
