"""Looks after the fleet: the orchestrator asks every host how it is, and tells what has changed.

The round is judged as `fleet check` judges. Two accounts share it: the page's, which alone may
talk to agents, says what it sees of the others; the monitoring's, which may ask hosts how they are
and nothing else, reads that, judges, and sends alerts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace

from deploys import gateway, orchestrator
from deploys.base import orchestrator_program
from deploys.keys import health_key_file, monitor_account, monitor_state, orchestrator_account
from facts.look import Look
from fleet.callers import Caller, account, known_hosts
from fleet.daemons import UNIT_PREFIX, once, timed
from fleet.doors import is_looked_into
from fleet.expected import expected, inside_script
from fleet.model import Host
from fleet.resources import Directory, File, Resources, RunningService, Service
from fleet.secrets import ADDRESSES
from fleet.view import HostView

NAME = "health"
ROUND_S = 300  # that a round may take: a host that hangs is left after a minute
NO_KEY = "the key that {host} looks with is not known yet: a run learns it there"
SANDBOX = ("MemoryDenyWriteExecute", "PrivateDevices", "SystemCallArchitectures")


def resources(view: HostView) -> Resources:
    """On the orchestrator: who looks, and when. Elsewhere: what is asked, and who may ask it."""
    boss = view.fleet.orchestrator
    if view.host == boss:
        return _looking(view)
    if not is_looked_into(view.fleet, view.host):
        return Resources()
    role, script = view.settings, _script(view)
    caller = Caller(
        role.health_user,
        home=f"{role.state_dir}/health",
        comment="is asked how this host is",
        key=boss.health_key,
        command=f"exec sudo -n {script.path}",
        allowed=f'{script.path} ""',
        rule="agentfleet-health",
    )
    entry = account(view, caller)
    return replace(entry, files=(script, *entry.files))


def unavailable(view: HostView, look: Look) -> str:
    """Why nobody can look here now."""
    boss = view.fleet.orchestrator
    if view.host == boss:
        return orchestrator.unavailable(view, look)
    looked_into = is_looked_into(view.fleet, view.host)
    return NO_KEY.format(host=boss.name) if looked_into and not boss.health_key else ""


def _script(view: HostView) -> File:
    """Says how the host is. What is read whole is `fleet check --deep`'s to read."""
    path = f"{view.settings.libexec_dir}/inside"
    content = inside_script(view)
    return File(path, content, "monitoring/inside.sh.j2", mode="0755", check="sh -n {path}")


def _looking(view: HostView) -> Resources:
    role, program = view.settings, orchestrator_program(view)
    page, monitor = orchestrator_account(view), monitor_account(view)
    seen, log = f"{role.monitor_home}/outside", f"{role.log_dir}/health"
    script, config = _script(view), _config(view, log, seen)
    running, timer = _round(view, config, log)
    return Resources(
        packages=(gateway.PYTHON,),
        users=(page, monitor),
        directories=(
            # Below the account's home, which `keys` makes.
            Directory(seen, mode="0750", owner=page.name, group=monitor.name),
            Directory(log, mode="0750", owner=monitor.name, group=monitor.name),
        ),
        files=(
            script,
            known_hosts(view, _known_hosts(view), _others(view)),
            config,
            view.file(
                "/usr/local/bin/fleet-health-check",
                "monitoring/fleet-health-check.sh.j2",
                mode="0755",
                check="sh -n {path}",
                values={"program": program.path, "config": config.path},
            ),
            once(view, _outside(view, seen)),
            once(view, _failed(view, config, log)),
            *running,
        ),
        services=(timer,),
    )


def _known_hosts(view: HostView) -> str:
    return f"{view.settings.config_dir}/health_known_hosts"


def _others(view: HostView) -> tuple[Host, ...]:
    """Those that are asked over SSH."""
    hosts = (host for host in view.fleet.hosts if host != view.fleet.orchestrator)
    return tuple(host for host in hosts if is_looked_into(view.fleet, host))


def _config(view: HostView, log: str, seen: str) -> File:
    role = view.settings
    wanted = expected(view)
    known: Mapping[str, object] = {
        "fleet": view.fleet.name,
        "ssh": {
            "key": health_key_file(view),
            "known_hosts": _known_hosts(view),
            "user": role.health_user,
        },
        "hosts": {
            host.name: {"address": host.addresses.tailnet, "port": host.ssh.port}
            for host in _others(view)
            if host.addresses.tailnet
        },
        "script": f"{role.libexec_dir}/inside",
        "outside": f"{seen}/outside.json",
        "state": monitor_state(view),
        "log": f"{log}/health.log",
        # What is read whole is not asked for here.
        "expected": asdict(
            replace(wanted, hosts=tuple(replace(host, files={}) for host in wanted.hosts))
        ),
    }
    # Not `tojson`, which sorts: people see their hosts in the order of fleet.yaml.
    text = json.dumps(known, indent=2)
    path = f"{role.config_dir}/monitor.json"
    return view.file(path, "monitoring/monitor.json.j2", values={"config": text})


def _outside(view: HostView, seen: str) -> Service:
    return Service(
        name="outside",
        description="what the orchestrator sees of the fleet, for the monitoring",
        note="runs before each of its rounds, as the account that may talk to agents",
        command=_command(
            view,
            "outside",
            orchestrator.config_path(view),
            "--to",
            f"{seen}/outside.json",
        ),
        user=view.settings.orchestrator_user,
        limit_s=120,
        exceptions={"ReadWritePaths": (seen, "what it sees"), **_sandbox()},
    )


def _round(view: HostView, config: File, log: str) -> tuple[tuple[File, ...], RunningService]:
    role = view.settings
    service = Service(
        name=NAME,
        description="asks every host how it is, and tells what has changed",
        command=_command(view, "monitor", config.path),
        user=role.monitor_user,
        after=(f"{UNIT_PREFIX}outside.service",),
        on_failure=f"{UNIT_PREFIX}health-failed.service",
        limit_s=ROUND_S,
        credentials=_addresses(view),
        exceptions=_writes(view, log),
    )
    calendar = f"*:0/{role.health_minutes}"
    return timed(view, service, calendar, after_boot="2min", spread="15s")


def _failed(view: HostView, config: File, log: str) -> Service:
    return Service(
        name="health-failed",
        description="tells that a round of the monitoring came to no end",
        command=_command(view, "monitor-failed", config.path),
        user=view.settings.monitor_user,
        limit_s=120,
        credentials=_addresses(view),
        exceptions=_writes(view, log),
    )


def _command(view: HostView, verb: str, config: str, *more: str) -> tuple[str, ...]:
    # -I: nothing from the environment or the directory; -B: writes no bytecode.
    program = orchestrator_program(view).path
    return ("/usr/bin/python3", "-IB", program, verb, "--config", config, *more)


def _writes(view: HostView, log: str) -> dict[str, tuple[str, str]]:
    places = f"{view.settings.monitor_home} {log}"
    return {"ReadWritePaths": (places, "what it remembers, and its log"), **_sandbox()}


def _sandbox() -> dict[str, tuple[str, str]]:
    return {
        key: (gateway.TIGHTER[key], "tighter than most: it reads what hosts say") for key in SANDBOX
    }


def _addresses(view: HostView) -> dict[str, str]:
    """The addresses of alerts, which only root and this service may read."""
    held = (name for name in view.settings.holds_secrets if name.startswith(ADDRESSES))
    return {
        name: f"{view.settings.config_dir}/secrets/{name}"
        for name in held
        if name in view.fleet.secrets and "secrets" in view.capabilities
    }
