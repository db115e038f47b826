"""The metering gateway: it alone has the key that agents are paid with, and keeps their caps."""

from __future__ import annotations

from deploys.base import orchestrator_program
from deploys.keys import orchestrator_account
from facts.look import Look
from fleet.daemons import daemon
from fleet.model import Host
from fleet.resources import Directory, File, Manager, Package, Resources, Service, User
from fleet.settings import settings_for
from fleet.view import HostView

KEYS = ("anthropic_api_key", "claude_subscription_token")  # secrets, either of which pays
NAME = "gateway"
LOOPBACK = "127.0.0.1"  # until the tailnet address is known, nobody is served
STATE = "/var/lib/agentfleet-gateway"
RUN = "agentfleet-gateway"  # below /run
PYTHON = Package("python3", {Manager.PACMAN: "python"})
TIGHTER = {
    "MemoryDenyWriteExecute": "yes",
    "PrivateDevices": "yes",
    "ProcSubset": "pid",
    "ProtectProc": "invisible",
    "RemoveIPC": "yes",
    "SystemCallArchitectures": "native",
    "SystemCallFilter": "@system-service",
}
NO_KEY = (
    "fleet.yaml says no secret to pay agents with: say where it is, "
    "`secrets: {anthropic_api_key: file:PATH}` or claude_subscription_token"
)


def resources(view: HostView) -> Resources:
    """On the orchestrator: its configuration and its daemon."""
    if view.host != view.fleet.orchestrator:
        return Resources()
    role = view.settings
    account = User(role.gateway_user, home=STATE, comment="meters what agents spend")
    config = _config(view)
    files, running = daemon(view, _service(view, config))
    return Resources(
        packages=(PYTHON,),
        users=(orchestrator_account(view), account),
        directories=(Directory(STATE, mode="0700", owner=account.name, group=account.name),),
        files=(config, *files),
        services=(running,),
    )


def unavailable(view: HostView, look: Look) -> str:
    """Why there can be no gateway here now."""
    return "" if view.host != view.fleet.orchestrator else no_key(view)


def no_key(view: HostView) -> str:
    """Why nobody could pay an agent; empty when fleet.yaml names the key."""
    return "" if _key(view) else NO_KEY


def url(view: HostView) -> str:
    """Where agents reach the gateway; the address is LOOPBACK until the orchestrator's is known."""
    boss = view.fleet.orchestrator
    port = settings_for(boss.role.value).gateway_port
    return f"http://{boss.addresses.tailnet or LOOPBACK}:{port}"


def socket() -> str:
    """The door for those that may issue and end sessions."""
    return f"/run/{RUN}/admin.sock"


def ledger() -> str:
    """Where it is kept what everybody has spent."""
    return f"{STATE}/ledger.sqlite"


def config_path(view: HostView) -> str:
    """What the gateway knows of the fleet."""
    return f"{view.settings.config_dir}/gateway.json"


def _key(view: HostView) -> str:
    """The name of the secret that pays; empty when fleet.yaml has none of them."""
    return next((name for name in KEYS if name in view.fleet.secrets), "")


def _config(view: HostView) -> File:
    fleet, role = view.fleet, view.settings
    known = {
        "listen": view.host.addresses.tailnet or LOOPBACK,
        "port": role.gateway_port,
        "upstream": fleet.anthropic_url,
        "credential": _key(view),
        "ledger": ledger(),
        "socket": socket(),
        "warn_percent": role.gateway_warn_percent,
        "daily": fleet.daily_budget,
        "hosts": {host.name: _caps(host) for host in fleet.hosts},
    }
    return view.file(config_path(view), "gateway/gateway.json.j2", values={"config": known})


def _caps(host: Host) -> dict[str, object]:
    places = (host.addresses.tailnet, host.addresses.tailnet6)
    return {
        "addresses": [address for address in places if address],
        "session": host.budget,
        "daily": host.daily_budget,
    }


def _service(view: HostView, config: File) -> Service:
    role, program = view.settings, orchestrator_program(view)
    key = _key(view) or KEYS[0]
    secret = f"{role.config_dir}/secrets/{key}"
    return Service(
        name=NAME,
        description="meters what agents spend and keeps their caps",
        note="the only process of the fleet that may read the key agents are paid with",
        # -I: nothing from the environment or the directory; -B: writes no bytecode.
        command=("/usr/bin/python3", "-IB", program.path, "gateway", config.path),
        user=role.gateway_user,
        group=role.orchestrator_user,  # whose processes may use its socket
        wait_for_address=view.host.addresses.tailnet or "",
        behind_wall=True,
        runtime_directory=RUN,
        runtime_mode="0750",
        credentials={key: secret},
        inputs=(program.path, config.path, secret),
        exceptions={
            "ReadWritePaths": (STATE, "the ledger"),
            **{
                key: (value, "tighter than most: it holds the key")
                for key, value in TIGHTER.items()
            },
        },
    )
