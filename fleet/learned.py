"""What a run learns of its hosts and everything else follows from: addresses and public keys."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from facts.look import Look
from facts.tailnet import Tailnet
from fleet.cards import MAC_ADDRESS
from fleet.environments import Environment, read_environments
from fleet.lock import LockedHost, LockedTailnet, read_fleet_lock, write_fleet_lock
from fleet.model import Host
from fleet.problems import FleetError
from fleet.resources import Reading
from fleet.target import Target, load_target
from fleet.words import mac_address

# Names of the readings that it comes from.
HOST_KEY, DISPATCH_KEY, HEALTH_KEY = "host key", "dispatch key", "health key"
COMPILER, ENVIRONMENTS = "compiler", "environments"
NETWORKING = "networking"

_writing = threading.Lock()


@dataclass(frozen=True)
class Learned:
    """What is known of a host that only the world can tell; None: not known yet."""

    ipv4: str | None = None  # in the tailnet, as the next two
    ipv6: str | None = None
    name: str | None = None
    host_keys: tuple[str, ...] = ()
    dispatch_key: str | None = None
    health_key: str | None = None
    compiler: str | None = None
    environments: tuple[Environment, ...] = ()
    mac_address: str | None = None
    networking: str | None = None


def public_key(name: str, path: str) -> Reading:
    """The reading of a public key file: `TYPE BASE64`, without its comment."""
    return Reading(name, f"cut -d ' ' -f 1,2 {path}")


def known(host: Host) -> Learned:
    """What the model knows."""
    at = host.addresses
    return Learned(
        at.tailnet,
        at.tailnet6,
        at.tailnet_name,
        host.host_keys,
        host.dispatch_key,
        host.health_key,
        host.compiler,
        host.environments,
        host.mac_address,
        host.networking,
    )


def hear(host: Host, look: Look, *, repin: bool = False) -> tuple[Learned, Learned]:
    """What was known of the host, and what is known once it has been looked at.

    A pinned host key stays: the host was reached by it, and only `fleet trust` changes it. Where it
    was reached by a key that is kept elsewhere (in a lab), `repin` notes the one it has now.
    """
    before = known(host)
    now = replace(
        before,
        host_keys=(repin and _keys(look, HOST_KEY)) or before.host_keys or _keys(look, HOST_KEY),
        dispatch_key=next(iter(_keys(look, DISPATCH_KEY)), before.dispatch_key),
        health_key=next(iter(_keys(look, HEALTH_KEY)), before.health_key),
        # One that is gone is gone: nobody may be sent jobs for it.
        compiler=look.values.get(COMPILER, before.compiler or "") or None,
        environments=_environments(look, before),
        mac_address=_card(look) or before.mac_address,
        networking=_networking(look) or before.networking,
    )
    place = look.tailnet
    if not place.running:
        return before, now
    full = _full_name(host.name, place) or before.name
    return before, replace(now, ipv4=place.ipv4, ipv6=place.ipv6 or None, name=full)


def _keys(look: Look, reading: str) -> tuple[str, ...]:
    key = look.values.get(reading, "")
    return (key,) if key else ()


def _card(look: Look) -> str | None:
    """What a host says of its card counts where it can be one."""
    try:
        return mac_address(look.values.get(MAC_ADDRESS, ""))
    except ValueError:
        return None


def _networking(look: Look) -> str | None:
    """WSL's word for it, where it is one."""
    said = look.values.get(NETWORKING, "").strip()
    return said if re.fullmatch(r"[a-z]{1,20}", said) else None


def _environments(look: Look, before: Learned) -> tuple[Environment, ...]:
    if ENVIRONMENTS not in look.values:
        return before.environments
    return read_environments(look.values[ENVIRONMENTS])


def _full_name(name: str, now: Tailnet) -> str | None:
    """What the host is called in the tailnet, or will be once it has its own name there."""
    domain = now.dns_name.partition(".")[2]
    return f"{name}.{domain}" if domain else None


def learn(target: Target, name: str, now: Learned) -> None:
    """Note what is known of a host in the target's fleet.lock.yaml.

    Raises FleetError, with the file as it was, when that contradicts fleet.yaml or another host.
    """
    host = _locked(name, now)
    with _writing, _restored(target.lock_file):
        write_fleet_lock(target.lock_file, read_fleet_lock(target.lock_file).with_host(name, host))
        load_target(target.name)


def _locked(name: str, now: Learned) -> LockedHost:
    try:
        return LockedHost(
            tailnet=LockedTailnet(ipv4=now.ipv4, ipv6=now.ipv6, name=now.name),
            host_keys=now.host_keys,
            dispatch_key=now.dispatch_key,
            health_key=now.health_key,
            compiler=now.compiler,
            environments=now.environments or None,
            mac_address=now.mac_address,
            networking=now.networking,
        )
    except ValueError:
        keys = (*now.host_keys, now.dispatch_key, now.health_key)
        said = (now.ipv4, now.ipv6, now.name, *keys, now.compiler)
        fault = f"{name} says of itself: {' '.join(one for one in said if one)}"
        fix = "not all of it can be true; see `tailscale status` there, and its SSH keys"
        raise FleetError.of("fleet.lock.yaml", fault, fix) from None


@contextmanager
def _restored(path: Path) -> Iterator[None]:
    """Put the file back, byte for byte, when something goes wrong."""
    before = path.read_bytes() if path.exists() else None
    try:
        yield
    except BaseException:
        if before is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(before)
        raise
