"""Backups of the orchestrator's databases, on a second host, which cannot read them."""

from __future__ import annotations

from deploys import agentapi, dispatch, gateway, orchestrator, quarantine
from deploys.base import orchestrator_program
from facts.look import Look
from fleet.daemons import UNIT_PREFIX, timed
from fleet.resources import File, Package, Resources, Service
from fleet.view import HostView

NAME = "backup"
DAILY = "*-*-* 03:40:00"
ENCRYPTS_TO = ("ssh-ed25519 ", "ssh-rsa ")  # what age takes of SSH's kinds of keys
NO_KEYS = (
    "nobody could read a backup, so there is none: add an operator with an ssh-ed25519 key "
    "to fleet.yaml"
)
NO_HOST = (
    "no second host could keep backups, so there are none: they need an always-on Linux host with "
    "an agent, or name another one as `backup:` in fleet.yaml"
)


def resources(view: HostView) -> Resources:
    """On the orchestrator: the timer, and for whom it encrypts."""
    if view.host != view.fleet.orchestrator:
        return Resources()
    keys = recipients(view)
    if not keys or view.fleet.backup_host is None:
        return Resources(remarks=(NO_HOST if keys else NO_KEYS,))
    files, running = timed(view, _service(view), DAILY)
    return Resources(
        packages=(gateway.PYTHON, Package("age")),
        files=(_config(view, view.fleet.backup_host.name), _recipients(view, keys), *files),
        services=(running,),
    )


def unavailable(view: HostView, look: Look) -> str:
    """Why there can be no backups now: they go the way to agents."""
    if view.host != view.fleet.orchestrator:
        return ""
    return dispatch.unavailable(view, look) or agentapi.unavailable(view, look)


def config_path(view: HostView) -> str:
    """What is backed up, and where to."""
    return f"{view.settings.config_dir}/backup.json"


def recipients(view: HostView) -> tuple[str, ...]:
    """The public keys that can open a backup: the operators', as far as they are of such a kind."""
    keys = (key for one in view.fleet.operators for key in one.ssh_keys)
    return tuple(key for key in keys if key.startswith(ENCRYPTS_TO))


def _recipients(view: HostView, keys: tuple[str, ...]) -> File:
    path = f"{view.settings.config_dir}/backup-recipients"
    return view.file(path, "backup/recipients.j2", values={"keys": keys})


def _config(view: HostView, host: str) -> File:
    role = view.settings
    databases = {
        "tasks": (orchestrator.database(view), role.orchestrator_user, orchestrator.NAME),
        "ledger": (gateway.ledger(), role.gateway_user, gateway.NAME),
        "notes": (quarantine.notes(), role.quarantine_user, quarantine.NAME),
    }
    known = {
        "fleet": view.fleet.name,
        "databases": {
            name: {"path": path, "owner": owner, "unit": f"{UNIT_PREFIX}{unit}.service"}
            for name, (path, owner, unit) in databases.items()
        },
        "recipients": f"{role.config_dir}/backup-recipients",
        "host": host,
        "reached": dispatch.agents_path(view),
    }
    return view.file(config_path(view), "backup/backup.json.j2", values={"config": known})


def _service(view: HostView) -> Service:
    program = orchestrator_program(view)
    places = (orchestrator.state_dir(view), gateway.STATE, quarantine.STATE)
    return Service(
        name=NAME,
        description="brings a backup of the orchestrator's databases to a second host",
        command=("/usr/bin/python3", "-IB", program.path, NAME, "--config", config_path(view)),
        exceptions={
            "CapabilityBoundingSet": (
                "CAP_DAC_OVERRIDE CAP_CHOWN",
                "reads what three accounts keep; SQLite gives them what it makes beside",
            ),
            # The minus: what the host does not have yet.
            "ReadWritePaths": (" ".join(f"-{place}" for place in places), "SQLite's locks"),
        },
    )
