"""fleet.yaml as pyinfra's groups: roles, and the broader groups that hold values for several."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from fleet import plugins
from fleet.hostkeys import not_pinned, not_the_same
from fleet.kinds import broad_groups
from fleet.model import Host
from fleet.reach import candidates, reach
from fleet.ssh import route
from fleet.target import Target

Groups = dict[str, list[tuple[str, dict[str, object]]]]


def groups(target: Target) -> Groups:
    """Group → hosts with their connection data. Broad groups come first: the last one wins."""
    plugins.read_once()  # pyinfra asks twice for each host
    # paramiko logs a traceback for a host that hangs up early; pyinfra reports it in one line.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    logging.getLogger("pyinfra").addFilter(_words_for(target))
    reach(target)
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
        "ssh_strict_host_key_checking": "yes",
    }
    if way.key:
        data["ssh_key"] = way.key
    if way.known_hosts:
        data["ssh_known_hosts_file"] = str(way.known_hosts)
    return data


def _words_for(target: Target) -> HostKeyWords:
    names = [
        (place, host.name) for host in target.fleet.hosts for place in candidates(host, target)
    ]
    return HostKeyWords(tuple(names))


@dataclass(frozen=True)
class HostKeyWords:
    """A filter of pyinfra's log: what it says about host keys names the host and our remedy.

    `names` are pairs of an address and the name of its host.
    """

    names: tuple[tuple[str, str], ...]

    def __call__(self, record: logging.LogRecord) -> bool:
        """Replace the sentence that fails the host; drop those about ssh's own files before it."""
        said = record.getMessage()
        if _BESIDES.match(said):
            return False
        told = _UNKNOWN.sub(lambda match: not_pinned(self._name(match[1])), said)
        told = _CHANGED.sub(lambda match: not_the_same(self._name(match[1])), told)
        if told != said:
            record.msg, record.args = told, ()
        return True

    def _name(self, place: str) -> str:
        bare = re.sub(r"^\[(.*)\]:\d+$", r"\1", place)
        return dict(self.names).get(bare, bare)


# As pyinfra 3.10 puts it: connectors/ssh.py and connectors/sshuserclient/client.py.
_UNKNOWN = re.compile(r"SSH error \(StrictPolicy: No host key for (\S+) found in known_hosts\)")
_CHANGED = re.compile(r"SSH host key error \(Host key for (\S+) does not match\.\)")
_BESIDES = re.compile(
    r"No host key for \S+ found in known_hosts$|WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED"
    r"|Someone could be eavesdropping on you|If this is expected, you can remove the bad key"
    r"|    ssh-keygen -R "
)
