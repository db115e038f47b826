"""Who may reach which TCP port of which host: the one table behind firewall and tailnet policy.

A port that is in nobody's table is none of our business, neither opened nor closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fleet.model import Fleet, Host
from fleet.settings import settings_for

MONITORING = "monitoring"  # the capability


class Who(StrEnum):
    """From where a door is open. A host may always reach its own doors, but see `Door.users`."""

    ANYWHERE = "anywhere"  # the LAN too: what is behind it asks for a key itself
    TAILNET = "tailnet"  # every device in the tailnet
    FLEET = "fleet"  # every host in fleet.yaml, at its tailnet address
    ORCHESTRATOR = "orchestrator"  # that host alone, at its tailnet address


@dataclass(frozen=True)
class Door:
    """One TCP port of one host.

    `operators`: whether the tailnet lets people come here too, from devices that are no hosts of
    the fleet. `dispatch`: whether it lets the orchestrator come here, where it would not by `who`.
    `private`: whether of the orchestrator's own accounts only those may knock, anywhere,
    that are trusted with agents.
    """

    name: str
    port: int
    who: Who
    operators: bool = False
    dispatch: bool = False
    private: bool = False


def _comes(fleet: Fleet, host: Host) -> bool:
    """Whether the orchestrator logs in there: to an agent, or to see how the host is."""
    return host.is_agent or (host != fleet.orchestrator and is_looked_into(fleet, host))


def is_looked_into(fleet: Fleet, host: Host) -> bool:
    """Whether the monitoring on the orchestrator asks the host how it is."""
    return all(MONITORING not in one.without for one in (host, fleet.orchestrator))


def doors(fleet: Fleet, host: Host) -> tuple[Door, ...]:
    """The doors of a host, by port."""
    role = settings_for(host.role.value)
    found = [
        Door("ssh", host.ssh.port, Who.ANYWHERE, operators=True, dispatch=_comes(fleet, host)),
        # On every host, since a person may turn an agent on where none runs by itself.
        Door("agent", role.agent_port, Who.ORCHESTRATOR, private=True),
        Door("worker", role.icecc_port, Who.FLEET),
    ]
    if host == fleet.scheduler_host:
        found += [
            Door("scheduler", role.scheduler_port, Who.FLEET),
            # It can remove workers and asks for no password.
            Door("scheduler console", role.scheduler_port + 1, Who.ORCHESTRATOR),
        ]
    if host == fleet.orchestrator:
        found += [
            Door("page", role.orchestrator_port, Who.TAILNET, operators=True),
            Door("artifacts", role.artifacts_port, Who.TAILNET),
            Door("gateway", role.gateway_port, Who.FLEET),
            Door("quarantine", role.quarantine_port, Who.FLEET),
        ]
    if fleet.is_relay(host):
        found.append(Door("relayed artifacts", role.artifacts_port, Who.FLEET))
    return tuple(sorted(found, key=lambda door: door.port))
