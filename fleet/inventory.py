"""fleet.yaml as pyinfra's groups: roles, and the broader groups that hold values for several."""

from __future__ import annotations

from pathlib import Path

from fleet.cache import cache_dir
from fleet.kinds import broad_groups
from fleet.model import Host
from fleet.target import Target

Groups = dict[str, list[tuple[str, dict[str, object]]]]


def groups(target: Target) -> Groups:
    """Group → hosts with their connection data. Broad groups come first: the last one wins."""
    entries = {host.name: (host.name, _connection(host, target)) for host in target.fleet.hosts}
    broad: Groups = {}
    roles: Groups = {}
    for host in target.fleet.hosts:
        for group in broad_groups(host.role):
            broad.setdefault(group, []).append(entries[host.name])
        roles.setdefault(host.role.value, []).append(entries[host.name])
    return broad | roles


def _connection(host: Host, target: Target) -> dict[str, object]:
    data: dict[str, object] = {
        "ssh_hostname": _address(host),
        "ssh_user": host.ssh.user,
        "ssh_port": host.ssh.port,
    }
    if host.ssh.key:
        data["ssh_key"] = str(Path(host.ssh.key).expanduser())
    # A host whose keys were learned must show one of them; a new one is trusted at first sight.
    known_hosts = target.known_hosts
    if known_hosts is None and target.lock.host_keys(host.name):
        known_hosts = _learned(host, target)
    if known_hosts:
        data["ssh_known_hosts_file"] = str(known_hosts)
        data["ssh_strict_host_key_checking"] = "yes"
    return data


def _address(host: Host) -> str:
    return host.addresses.lan or host.addresses.tailnet or host.name


def _learned(host: Host, target: Target) -> Path:
    """A known_hosts file with the keys that fleet.lock.yaml has for this host."""
    address = _address(host)
    name = address if host.ssh.port == 22 else f"[{address}]:{host.ssh.port}"
    path = cache_dir() / "known_hosts" / host.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name} {key}\n" for key in target.lock.host_keys(host.name)))
    return path
