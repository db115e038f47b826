"""The quarantine: whom a host reports for a wrong object gets no more jobs."""

from __future__ import annotations

from deploys import gateway
from deploys.base import orchestrator_program
from deploys.icecream import UNKNOWN_ADDRESS
from deploys.keys import orchestrator_account
from facts.look import Look
from fleet.daemons import daemon
from fleet.model import Host
from fleet.resources import Directory, File, Resources, Service, User
from fleet.settings import settings_for
from fleet.toolchains import is_worker
from fleet.view import HostView

NAME = "quarantine"
STATE = "/var/lib/agentfleet-quarantine"
RUN = "agentfleet-quarantine"  # below /run


def resources(view: HostView) -> Resources:
    """On the orchestrator: its configuration and its daemon."""
    if view.host != view.fleet.orchestrator:
        return Resources()
    account = User(view.settings.quarantine_user, home=STATE, comment="keeps bad workers out")
    config = _config(view)
    files, running = daemon(view, _service(view, config))
    return Resources(
        packages=(gateway.PYTHON,),
        users=(orchestrator_account(view), account),
        directories=(Directory(STATE, mode="0700", owner=account.name, group=account.name),),
        files=(config, *files),
        services=(running,),
    )


def unavailable(view: HostView, look: Look) -> str:
    """Why there can be none here now: it and the scheduler meet in the tailnet."""
    if view.host != view.fleet.orchestrator:
        return ""
    for host in (view.host, view.fleet.scheduler_host):
        if not host.addresses.tailnet:
            return UNKNOWN_ADDRESS.format(host=host.name)
    return ""


def url(view: HostView) -> str:
    """Where a host reports a worker; the address is LOOPBACK until the orchestrator's is known."""
    boss = view.fleet.orchestrator
    port = settings_for(boss.role.value).quarantine_port
    return f"http://{boss.addresses.tailnet or gateway.LOOPBACK}:{port}/reports"


def socket() -> str:
    """The door for those that may let a worker in again."""
    return f"/run/{RUN}/admin.sock"


def notes() -> str:
    """Where it is kept who was reported."""
    return f"{STATE}/notes.sqlite"


def config_path(view: HostView) -> str:
    """What the quarantine knows of the fleet."""
    return f"{view.settings.config_dir}/quarantine.json"


def _config(view: HostView) -> File:
    fleet = view.fleet
    scheduler = fleet.scheduler_host
    known = {
        "listen": view.host.addresses.tailnet or gateway.LOOPBACK,
        "port": view.settings.quarantine_port,
        "notes": notes(),
        "socket": socket(),
        "scheduler": scheduler.addresses.tailnet or "",
        "console": settings_for(scheduler.role.value).scheduler_port + 1,
        "hosts": {host.name: _known(host) for host in fleet.hosts},
    }
    return view.file(config_path(view), "quarantine/quarantine.json.j2", values={"config": known})


def _known(host: Host) -> dict[str, object]:
    places = (host.addresses.tailnet, host.addresses.tailnet6)
    return {"addresses": [place for place in places if place], "worker": is_worker(host)}


def _service(view: HostView, config: File) -> Service:
    role, program = view.settings, orchestrator_program(view)
    return Service(
        name=NAME,
        description="keeps workers that returned a wrong object out of the compile cluster",
        # -I: nothing from the environment or the directory; -B: writes no bytecode.
        command=("/usr/bin/python3", "-IB", program.path, NAME, config.path),
        user=role.quarantine_user,
        group=role.orchestrator_user,  # whose processes may let a worker in again
        wait_for_address=view.host.addresses.tailnet or "",
        behind_wall=True,
        runtime_directory=RUN,
        runtime_mode="0750",
        inputs=(program.path, config.path),
        exceptions={
            "ReadWritePaths": (STATE, "the notes"),
            **{
                key: (value, "tighter than most: every host may talk to it")
                for key, value in gateway.TIGHTER.items()
            },
        },
    )
