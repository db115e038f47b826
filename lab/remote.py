"""Reach the hosts over SSH, with strict host keys, as the fleet's own tools do."""

import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab import boot
from lab.errors import LabError
from lab.hosts import host_files, host_key
from lab.place import Place
from lab.shell import run
from lab.spec import LabHost

USER = "admin"
BOOT_SECONDS = 180.0
POLL_SECONDS = 0.1
_KNOWN_HOSTS = threading.Lock()
# A connection of its own: a shared one would stay behind for a while.
_ALONE = ("-o", "ControlMaster=no", "-o", "ControlPath=none")


def write_key(place: Place) -> None:
    """Make the lab's key pair, once."""
    public_key(place.key, f"lab {place.name}")


def public_key(key: Path, comment: str) -> str:
    """Return the public half of a key pair, which is made when it is not there."""
    public = key.with_suffix(".pub")
    if not (key.exists() and public.exists()):
        key.parent.mkdir(parents=True, exist_ok=True)
        for file in (key, public):
            file.unlink(missing_ok=True)
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment]
        run([*make, "-f", str(key)])
    return public.read_text().strip()


def write_ssh_files(place: Place, hosts: Sequence[LabHost]) -> None:
    """Write known_hosts and the configuration for `ssh -F` from what the hosts are now."""
    keys = {host: host_key(host_files(place, host.name)) for host in hosts}
    lines = [f"{known_names(place, host)} {key}\n" for host, key in keys.items() if key]
    place.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    blocks = [_block(place, host) for host in hosts]
    with _KNOWN_HOSTS:
        _replace(place.known_hosts, "".join(lines))
        _replace(place.ssh_config, "\n".join(blocks))


def known_names(place: Place, host: LabHost) -> str:
    """Return the names a host's key is filed under: its name and its addresses on the LAN.

    Those in the tailnet are the host's only until it joins anew.
    """
    names = [host.name, place.lan(host), place.lan6(host)]
    if host.port != 22:  # an alias (HostKeyAlias) is looked up without the port
        names = [host.name, *(f"[{name}]:{host.port}" for name in names)]
    return ",".join(names)


def _block(place: Place, host: LabHost) -> str:
    return (
        f"Host {host.name} {place.lan(host)}\n"
        f"  HostName {place.lan(host)}\n"
        f"  Port {host.port}\n"
        f"  User {USER}\n"
        f"  IdentityFile {place.key}\n"
        "  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {place.known_hosts}\n"
        "  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n"
        "  PasswordAuthentication no\n"
        "  LogLevel ERROR\n"
        "  ConnectTimeout 20\n"
        "  ServerAliveInterval 5\n"
        "  ControlMaster auto\n"
        f"  ControlPath {place.run}/%C\n"
        "  ControlPersist 60\n"
    )


def _replace(file: Path, text: str) -> None:
    part = file.with_name(f"{file.name}.part")
    part.write_text(text)
    part.rename(file)


def ssh(place: Place, *words: str) -> list[str]:
    """Return the argument vector of ssh with the lab's configuration."""
    return ["ssh", "-F", str(place.ssh_config), *words]


def hang_up(place: Place, names: Sequence[str]) -> None:
    """End the shared connections to hosts, which would hang after a power cut."""
    if not place.ssh_config.exists():
        return
    for name in names:
        run(ssh(place, "-O", "exit", name), check=False)


def wait_ssh(place: Place, hosts: Sequence[LabHost], timeout: float = BOOT_SECONDS) -> None:
    """Wait until every host takes a command over SSH; say which does not, and its last words."""
    patience = _Patience(time.monotonic() + timeout)
    with ThreadPoolExecutor(max(1, len(hosts))) as pool:
        try:
            faults = [*pool.map(lambda host: _await_host(place, host, patience), hosts)]
        except BaseException:  # a person has had enough: the threads must not go on
            patience.until = 0.0
            raise
    if any(faults):
        raise LabError("\n".join(filter(None, faults)))


@dataclass
class _Patience:
    """How long the threads go on waiting; may be cut short."""

    until: float


def _await_host(place: Place, host: LabHost, patience: _Patience) -> str:
    said = "it does not listen"
    while time.monotonic() < patience.until:
        if _has_ended(place, host):
            return _fault(place, host, "stopped while it booted")
        if listens(place.lan(host), host.port):
            try:
                done = run(ssh(place, *_ALONE, host.name, "true"), check=False, timeout=60)
            except subprocess.TimeoutExpired:
                continue
            if done.returncode == 0:
                return ""
            said = done.stderr.strip() or f"ssh ended with {done.returncode}"
        time.sleep(POLL_SECONDS)
    return _fault(place, host, f"does not answer over SSH ({said})")


def _has_ended(place: Place, host: LabHost) -> bool:
    """Whether nothing of a host runs; asked twice, since a process has no words while it execs."""
    if boot.is_alive(place, host.name):
        return False
    time.sleep(1)
    return not boot.is_alive(place, host.name)


def _fault(place: Place, host: LabHost, what: str) -> str:
    log = host_files(place, host.name).console
    return f"{host.name} {what}. Its console ({log}) ends with:\n" + boot.console_tail(
        place, host.name
    )


def listens(address: str, port: int) -> bool:
    """Tell whether an SSH server answers there."""
    try:
        with socket.create_connection((address, port), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
