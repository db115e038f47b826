"""Services: enabled, running with their current inputs, verified after every start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyinfra.api import operation

from facts.look import Look
from facts.services import ServiceState, service_stem
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
    preface = _LAUNCHD_FUNCTIONS if context.mac else _SYSTEMD_FUNCTIONS
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
    if on_disk == current and not _changed(now.told or {}, current):
        return None
    directory = quote(f"{context.state_dir}/notified")
    stamp = quote(f"{context.state_dir}/notified/{service_stem(service.name)}.stamp")
    digest = "shasum -a 256" if context.mac else "sha256sum"
    note = f"{digest} {words(*current)}" if current else ":"
    script = f"""{service.notify} {quote(service.name)}
mkdir -p {directory}
{note} >{stamp}.new
mv -f {stamp}.new {stamp}"""
    return _Act(f"service {service.name}: take notice of {', '.join(service.inputs)}", script)


# A start is believed when the same process is still there a moment later: a daemon that dies at
# once is "activating" in between, and `systemctl start` says nothing of it.
_SYSTEMD_FUNCTIONS = """systemctl daemon-reload
main_pid() { systemctl show -p MainPID --value "$1"; }
bring() { # start|restart UNIT
    systemctl reset-failed "$2" 2>/dev/null || true
    systemctl -q enable "$2"
    systemctl "$1" "$2"
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        before=$(main_pid "$2")
        sleep 0.7
        if systemctl -q is-active "$2" && [ "$(main_pid "$2")" = "$before" ]; then return 0; fi
    done
    journalctl -u "$2" -n 15 --no-pager -o cat >&2 || true
    fail "$2 does not stay up; its last words are above"
}"""
# bootout returns before the job is gone, and a bootstrap meanwhile fails with error 5.
_LAUNCHD_FUNCTIONS = """job() { launchctl print "system/$1" 2>/dev/null; }
job_pid() { job "$1" | awk '$1 == "pid" && $2 == "=" { print $3; exit }'; }
leave() {
    launchctl bootout "system/$1" 2>/dev/null || true # absent, or on its way out
    for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        job "$1" >/dev/null || return 0
        sleep 0.5
    done
    fail "$1 does not leave launchd"
}
enter() {
    for attempt in 1 2 3 4 5 6 7 8; do
        launchctl bootstrap system "/Library/LaunchDaemons/$1.plist" 2>/dev/null && return 0
        sleep 1
    done
    launchctl bootstrap system "/Library/LaunchDaemons/$1.plist" || fail "launchd refuses $1"
}
bring() { # start|restart LABEL
    leave "$2"
    launchctl enable "system/$2"
    enter "$2"
    for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        before=$(job_pid "$2")
        sleep 0.7
        if [ -n "$before" ] && [ "$(job_pid "$2")" = "$before" ]; then return 0; fi
    done
    job "$2" | grep -E '^.(state|runs|last exit code) = ' >&2 || true
    log=$(job "$2" | awk '$1 == "stderr" && $2 == "path" { print $4; exit }')
    [ -z "$log" ] || tail -n 15 "$log" >&2 || true
    fail "$2 does not stay up; its last words are above"
}"""
