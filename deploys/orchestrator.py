"""The page: shows the fleet's agents and gives them tasks."""

from __future__ import annotations

import json

from deploys import agentapi, claude_code, dispatch, gateway, quarantine
from deploys.base import orchestrator_program
from deploys.icecream import UNKNOWN_ADDRESS
from deploys.keys import monitor_state, orchestrator_account
from facts.look import Look
from fleet.daemons import daemon
from fleet.kinds import Sudo
from fleet.model import Host
from fleet.resources import Directory, File, Resources, Service
from fleet.settings import settings_for
from fleet.toolchains import is_worker
from fleet.view import HostView

NAME = "orchestrator"
RUN = "agentfleet-orchestrator"  # below /run
LOCAL = ("localhost", gateway.LOOPBACK)  # names for whoever comes with a token
TIGHTER = ("PrivateDevices", "ProtectProc", "RemoveIPC", "SystemCallArchitectures")
NO_LOGIN = "{who}: no `login` under operators in fleet.yaml, so the page stays shut"
NOBODY = "no operator in fleet.yaml has a `login`, so the page opens to nobody"


def resources(view: HostView) -> Resources:
    """On the orchestrator: its configuration and its daemon."""
    if view.host != view.fleet.orchestrator:
        return Resources()
    account = orchestrator_account(view)
    config = _config(view)
    files, running = daemon(view, _service(view, config))
    return Resources(
        packages=(gateway.PYTHON,),
        users=(account,),
        directories=(
            # Below the account's home, which `keys` makes.
            Directory(state_dir(view), mode="0700", owner=account.name, group=account.name),
        ),
        files=(config, *files),
        services=(running,),
        remarks=_remarks(view),
    )


def unavailable(view: HostView, look: Look) -> str:
    """Why there can be no page here now: people come to it through the tailnet."""
    if view.host != view.fleet.orchestrator or view.host.addresses.tailnet:
        return ""
    return UNKNOWN_ADDRESS.format(host=view.host.name)


def config_path(view: HostView) -> str:
    """What the page's service knows of the fleet."""
    return f"{view.settings.config_dir}/orchestrator.json"


def state_dir(view: HostView) -> str:
    """Where tasks and plans are kept."""
    return f"{view.settings.orchestrator_home}/state"


def database(view: HostView) -> str:
    """Where the tasks are."""
    return f"{state_dir(view)}/tasks.sqlite"


def has_agent(host: Host) -> bool:
    """Whether the host is an agent's, turned on or not."""
    return agentapi.NAME not in host.without


def _remarks(view: HostView) -> tuple[str, ...]:
    """Who cannot come in, since nobody knows what the tailnet calls them."""
    people = view.fleet.operators
    if not any(one.login for one in people):
        return (NOBODY,)
    without = [one.name for one in people if not one.login]
    return (NO_LOGIN.format(who=", ".join(without)),) if without else ()


def _config(view: HostView) -> File:
    fleet, role, boss = view.fleet, view.settings, view.host
    scheduler = fleet.scheduler_host
    at = boss.addresses
    names = (boss.name, at.tailnet_name, at.tailnet, *LOCAL)
    known = {
        "listen": at.tailnet or gateway.LOOPBACK,
        "port": role.orchestrator_port,
        "names": [name for name in names if name],
        "database": database(view),
        "token": f"{state_dir(view)}/token",
        "socket": f"/run/{RUN}/api.sock",
        "gateway": gateway.socket(),
        "gateway_url": gateway.url(view),
        "quarantine": quarantine.socket(),
        "reached": dispatch.agents_path(view),
        "scheduler": scheduler.addresses.tailnet or "",
        "console": settings_for(scheduler.role.value).scheduler_port + 1,
        "tailscale": role.tailscale_programs,
        "claude": claude_code.WRAPPER,
        "planner": boss.name,
        "plan_cap": role.plan_cap,
        "health": monitor_state(view),
        "health_s": 60 * role.health_minutes,
        "operators": {one.login: one.name for one in fleet.operators if one.login},
        "hosts": {host.name: _known(host) for host in fleet.hosts},
    }
    # Not `tojson`, which sorts: people see their agents in the order of fleet.yaml.
    text = json.dumps(known, indent=2)
    path = config_path(view)
    return view.file(path, "orchestrator/orchestrator.json.j2", values={"config": text})


def _known(host: Host) -> dict[str, object]:
    role, address = settings_for(host.role.value), host.addresses.tailnet
    return {
        "role": host.role.value,
        "os": host.os.value,
        "arch": host.arch.value,
        "power": host.power.value,
        "hardware": host.hardware,
        "addresses": [place for place in (address, host.addresses.tailnet6) if place],
        "agent": has_agent(host),
        "enabled": host.is_agent,
        "url": f"http://{address}:{role.agent_port}" if address else "",
        "root": host.agent.sudo is Sudo.FULL,
        "compilers": "compilers" in role.capabilities and "compilers" not in host.without,
        "worker": is_worker(host),
    }


def _service(view: HostView, config: File) -> Service:
    role, program = view.settings, orchestrator_program(view)
    # A file that this run does not bring would be an input that never fits.
    reached = () if dispatch.unavailable(view, Look()) else (dispatch.agents_path(view),)
    return Service(
        name=NAME,
        description="shows the fleet's agents and gives them tasks",
        # -I: nothing from the environment or the directory; -B: writes no bytecode.
        command=("/usr/bin/python3", "-IB", program.path, NAME, config.path),
        user=role.orchestrator_user,
        wait_for_address=view.host.addresses.tailnet or "",
        behind_wall=True,
        runtime_directory=RUN,
        runtime_mode="0750",
        inputs=(program.path, config.path, *reached),
        exceptions={
            "ReadWritePaths": (state_dir(view), "tasks and plans; its SSH key it only reads"),
            # Not the rest of it: Claude Code, which makes plans here, compiles while it runs.
            **{
                key: (gateway.TIGHTER[key], "tighter than most: people talk to it")
                for key in TIGHTER
            },
        },
    )
