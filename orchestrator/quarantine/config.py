"""What the quarantine knows of the fleet: rendered from it, read once at the start."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.configuration import load


@dataclass(frozen=True)
class Config:
    """See deploys/quarantine.py, which renders it.

    `places` is address → host, for every host of the fleet. `workers` is host → what the scheduler
    may know it by: its name and its IPv4 address, since icecream knows no other.
    """

    listen: str
    port: int
    notes: Path
    socket: Path
    scheduler: str
    console: int  # TCP port of the scheduler's text console
    places: Mapping[str, str]
    workers: Mapping[str, tuple[str, ...]]

    def worker(self, said: str) -> str:
        """The worker of that name or address; empty when it is none."""
        name = self.places.get(said, said)
        return name if name in self.workers else ""


def read_config(path: Path) -> Config:
    """Read the file. Raises ConfigError."""
    return load(path, _config)


def _config(said: Mapping[str, Any]) -> Config:
    hosts = said["hosts"]
    return Config(
        listen=said["listen"],
        port=int(said["port"]),
        notes=Path(said["notes"]),
        socket=Path(said["socket"]),
        scheduler=said["scheduler"],
        console=int(said["console"]),
        places={place: name for name, one in hosts.items() for place in one["addresses"]},
        workers={
            name: (name, *filter(_is_ipv4, one["addresses"]))
            for name, one in hosts.items()
            if one["worker"]
        },
    )


def _is_ipv4(address: str) -> bool:
    return ipaddress.ip_address(address).version == 4
