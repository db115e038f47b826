"""What the gateway knows of the fleet: rendered from it, read once at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.configuration import load
from orchestrator.gateway.money import micros


@dataclass(frozen=True)
class Caps:
    """Micro-dollars; None is no limit."""

    session: int
    daily: int | None


@dataclass(frozen=True)
class Config:
    """See deploys/gateway.py, which renders it. `hosts` are the caps, `places` address → host."""

    listen: str
    port: int
    upstream: str
    credential: str
    ledger: Path
    socket: Path
    warn_percent: int
    daily: int | None
    hosts: Mapping[str, Caps]
    places: Mapping[str, str]


def read_config(path: Path) -> Config:
    """Read the file. Raises ConfigError."""
    return load(path, _config)


def _config(said: Mapping[str, Any]) -> Config:
    hosts = said["hosts"]
    return Config(
        listen=said["listen"],
        port=int(said["port"]),
        upstream=str(said["upstream"]).rstrip("/"),
        credential=said["credential"],
        ledger=Path(said["ledger"]),
        socket=Path(said["socket"]),
        warn_percent=int(said["warn_percent"]),
        daily=_limit(said["daily"]),
        hosts={
            name: Caps(micros(one["session"]), _limit(one["daily"])) for name, one in hosts.items()
        },
        places={place: name for name, one in hosts.items() for place in one["addresses"]},
    )


def _limit(dollars: float | None) -> int | None:
    return None if dollars is None else micros(dollars)
