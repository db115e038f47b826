"""SSH host keys: which ones count for a host, and which ones it shows."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from fleet.cache import cache_dir
from fleet.lock import LockedHost, read_fleet_lock, write_fleet_lock
from fleet.model import Host
from fleet.problems import FleetError
from fleet.target import Target
from fleet.words import is_public_key

PREFERRED = ("ssh-ed25519", "ecdsa-", "ssh-rsa")  # how their types begin
_ASKED = "ed25519,ecdsa,rsa"  # the same in ssh-keyscan's words
CONNECT_S, SCAN_S = 5, 20.0


def known_hosts(host: Host, target: Target) -> Path | None:
    """The file with the only keys that count for the host: its pinned ones, or those the lab knows.

    None when no key is pinned: then the user's own ~/.ssh/known_hosts counts.
    """
    lab = target.known_hosts
    keys = _keys_in(lab, host.name) if lab else target.lock.host_keys(host.name)
    if not keys:
        return lab
    path = (lab.with_suffix(".d") if lab else cache_dir() / "known_hosts") / host.name
    names = ",".join(_names(host))
    _replace(path, "".join(f"{names} {key}\n" for key in keys))
    return path


def _keys_in(file: Path, name: str) -> tuple[str, ...]:
    """The keys that a known_hosts has under a name; none where there is no file."""
    try:
        lines = [line.split(" ", 1) for line in file.read_text().splitlines()]
    except FileNotFoundError:
        return ()
    return tuple(key for names, key in lines if name in names.split(","))


def forget_known_hosts(host: Host) -> None:
    """Remove the file that `known_hosts` made of keys that do not count any more."""
    (cache_dir() / "known_hosts" / host.name).unlink(missing_ok=True)


def _names(host: Host) -> list[str]:
    """All names that a key may be asked for by: OpenSSH is given the host's, paramiko knows none
    but the address, with the port where that is not 22."""
    known = host.addresses
    places = [one for one in (host.name, known.lan, known.tailnet, known.tailnet6) if one]
    if host.ssh.port != 22:
        places = [host.name, *(f"[{place}]:{host.ssh.port}" for place in places)]
    return list(dict.fromkeys(places))


def _replace(path: Path, text: str) -> None:
    """Write whole or not at all: other commands read it at the same time."""
    if path.is_file() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(name).replace(path)


def not_pinned(name: str) -> str:
    """What to say of a host whose keys nobody knows."""
    return f"no host key is pinned for {name}: run fleet trust {name}"


def not_the_same(name: str) -> str:
    """What to say of a host that shows another key than the one that counts."""
    return (
        f"the host key of {name} is not the one that is known: make sure why it changed, then run "
        f"fleet trust {name} --replace"
    )


def fingerprint(key: str) -> str:
    """The digest of a key (`TYPE BASE64`) as `ssh-keygen -l` prints it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def describe(key: str) -> str:
    """A key in one line: its type and fingerprint."""
    return f"{key.split()[0]} {fingerprint(key)}"


def shown(address: str, port: int) -> tuple[str, ...]:
    """The keys that answer there (`TYPE BASE64`), the preferred first; none when nobody does.

    Nothing proves that they are the host's own. Raises FleetError without ssh-keyscan.
    """
    scan = ["ssh-keyscan", "-T", str(CONNECT_S), "-p", str(port), "-t", _ASKED, address]
    try:
        run = subprocess.run(scan, capture_output=True, text=True, timeout=SCAN_S, check=False)
    except subprocess.TimeoutExpired:
        return ()
    except FileNotFoundError:
        fix = "install OpenSSH's client programs"
        raise FleetError.of("ssh-keyscan", "there is no such program here", fix) from None
    lines = [line for line in run.stdout.splitlines() if not line.startswith("#")]
    keys = {" ".join(line.split()[1:3]) for line in lines}
    return tuple(sorted(filter(is_public_key, keys), key=_rank))


def _rank(key: str) -> tuple[int, str]:
    ranks = (rank for rank, type_ in enumerate(PREFERRED) if key.startswith(type_))
    return next(ranks, len(PREFERRED)), key


def pin(lock_file: Path, name: str, key: str) -> None:
    """Note in fleet.lock.yaml that this key is the host's, and no other. Raises FleetError."""
    lock = read_fleet_lock(lock_file)
    host = lock.hosts.get(name, LockedHost())
    write_fleet_lock(lock_file, lock.with_host(name, host.model_copy(update={"host_keys": (key,)})))
