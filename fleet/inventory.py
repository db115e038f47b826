"""fleet.yaml as pyinfra's groups: roles, and the broader groups that hold values for several."""

from __future__ import annotations

import logging

from fleet.kinds import broad_groups
from fleet.model import Host
from fleet.ssh import route
from fleet.target import Target

Groups = dict[str, list[tuple[str, dict[str, object]]]]


def groups(target: Target) -> Groups:
    """Group → hosts with their connection data. Broad groups come first: the last one wins."""
    # paramiko logs a traceback for a host that hangs up early; pyinfra reports it in one line.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    entries = {host.name: (host.name, _connection(host, target)) for host in target.fleet.hosts}
    broad: Groups = {}
    roles: Groups = {}
    for host in target.fleet.hosts:
        for group in broad_groups(host.role):
            broad.setdefault(group, []).append(entries[host.name])
        roles.setdefault(host.role.value, []).append(entries[host.name])
    return broad | roles


def _connection(host: Host, target: Target) -> dict[str, object]:
    """The route in pyinfra's words."""
    way = route(host, target)
    data: dict[str, object] = {
        "ssh_hostname": way.address,
        "ssh_user": way.user,
        "ssh_port": way.port,
    }
    if way.key:
        data["ssh_key"] = way.key
    if way.known_hosts:
        data["ssh_known_hosts_file"] = str(way.known_hosts)
        data["ssh_strict_host_key_checking"] = "yes"
    return data
