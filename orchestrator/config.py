"""What the page's service knows of the fleet: rendered from it, read once at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.configuration import load
from orchestrator.gateway.money import micros
from orchestrator.registry.model import AgentHost


@dataclass(frozen=True)
class Config:
    """See deploys/orchestrator.py, which renders it.

    `names` are what the page may be called by, without a port. `operators` is login in the tailnet
    → person. `agents` are in fleet.yaml's order, those included that are `off` there. `places` is
    address → host for every host, `workers` the names of those that compile for others. `plan_cap`
    is in micro-dollars.
    """

    listen: str
    port: int
    names: tuple[str, ...]
    database: Path
    token: Path  # what proves who comes over loopback; made at the first start
    socket: Path
    gateway: Path  # its socket
    gateway_url: str
    quarantine: Path  # its socket
    reached: Path  # agents.json, see orchestrator/sessions.py
    scheduler: str
    console: int
    tailscale: tuple[str, ...]  # programs, of which the first that is there is asked
    claude: str
    planner: str  # the host that plans are made on, and paid for
    plan_cap: int
    operators: Mapping[str, str]
    agents: tuple[AgentHost, ...]
    off: frozenset[str]
    places: Mapping[str, str]
    workers: frozenset[str]
    health: Path | None = None  # what the monitoring remembers; None: there is none
    health_s: float = 300  # from one of its rounds to the next

    def agent(self, name: str) -> AgentHost | None:
        """The agent of that host."""
        return next((one for one in self.agents if one.name == name), None)


def read_config(path: Path) -> Config:
    """Read the file. Raises ConfigError."""
    return load(path, _config)


def _config(said: Mapping[str, Any]) -> Config:
    hosts = said["hosts"]
    agents = {name: one for name, one in hosts.items() if one["agent"]}
    return Config(
        listen=said["listen"],
        port=int(said["port"]),
        names=tuple(said["names"]),
        database=Path(said["database"]),
        token=Path(said["token"]),
        socket=Path(said["socket"]),
        gateway=Path(said["gateway"]),
        gateway_url=said["gateway_url"],
        quarantine=Path(said["quarantine"]),
        reached=Path(said["reached"]),
        scheduler=said["scheduler"],
        console=int(said["console"]),
        tailscale=tuple(said["tailscale"]),
        claude=said["claude"],
        planner=said["planner"],
        plan_cap=micros(said["plan_cap"]),
        operators=dict(said["operators"]),
        agents=tuple(_agent(name, one) for name, one in agents.items()),
        off=frozenset(name for name, one in agents.items() if not one["enabled"]),
        places={place: name for name, one in hosts.items() for place in one["addresses"]},
        workers=frozenset(name for name, one in hosts.items() if one["worker"]),
        health=Path(said["health"]) if said["health"] else None,
        health_s=float(said["health_s"]),
    )


def _agent(name: str, one: Mapping[str, Any]) -> AgentHost:
    return AgentHost(
        name=name,
        role=one["role"],
        os=one["os"],
        arch=one["arch"],
        power=one["power"],
        url=one["url"],
        root=one["root"],
        compilers=one["compilers"],
        hardware=one["hardware"],
    )
