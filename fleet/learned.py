"""What a run learns of its hosts and everything else follows from: their tailnet addresses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facts.tailnet import Tailnet
from fleet.lock import LockedHost, LockedTailnet, read_fleet_lock, write_fleet_lock
from fleet.model import Host
from fleet.problems import FleetError
from fleet.target import Target, load_target

_writing = threading.Lock()


def known_addresses(host: Host) -> tuple[str | None, str | None]:
    """The host's IPv4 and IPv6 address in the tailnet, as far as they are known."""
    return host.addresses.tailnet, host.addresses.tailnet6


def learn(target: Target, name: str, now: Tailnet) -> None:
    """Note a host's place in the tailnet in the target's fleet.lock.yaml.

    Raises FleetError, with the file as it was, when that contradicts fleet.yaml or another host.
    """
    place = _place(name, now)
    with _writing, _restored(target.lock_file):
        before = read_fleet_lock(target.lock_file)
        known = before.hosts.get(name, LockedHost())
        after = before.with_host(name, known.model_copy(update={"tailnet": place}))
        write_fleet_lock(target.lock_file, after)
        load_target(target.name)


def _place(name: str, now: Tailnet) -> LockedTailnet:
    """The addresses alone: they stay a node's own, while its name there may change."""
    try:
        return LockedTailnet(ipv4=now.ipv4, ipv6=now.ipv6 or None)
    except ValueError:
        fault = f"{name} says that its addresses are {now.ipv4} {now.ipv6}".rstrip()
        fix = "these are none of a tailnet's; see `tailscale status` there"
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
