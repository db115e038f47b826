"""What must hold between the values of fleet.yaml, whatever each of them is alone.

Each rule takes the checked entries and yields problems. An entry's value is None where the file
has none or a wrong one: the rules then keep quiet, so that one fault is reported once.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fleet.kinds import (
    AGENT_ROLES,
    GROUP_NAMES,
    MAC_ROLES,
    OS_ARCH,
    ROLE_ARCH,
    ROLE_OS,
    Os,
    Power,
    Role,
)
from fleet.problems import Problem, show, suggest
from fleet.roles import known_capabilities, reserved_cores
from fleet.schema import FleetFile, HostEntry, ToolchainEntry
from fleet.secrets import KNOWN
from fleet.words import HOST_NAME
from fleet.yamlfile import Document, Key

Rule = Callable[[Document, FleetFile], Iterator[Problem]]
DEFAULT_SSH_PORT = 22
FOUNDATION = "base"  # the capability that brings what the others run on
SCHEDULING = "icecream"  # the capability that the scheduler belongs to
RELAYING = "relay"  # the one that a site's relay belongs to
DISPATCH = "dispatch"  # the one that brings backups to their host
# Capability → what cannot be without it, and why.
NEEDED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "firewall": (
        ("artifacts", RELAYING, "gateway", "agentapi", "icecream", "quarantine", "orchestrator"),
        "services without a password stand behind the firewall",
    ),
    "secrets": (("gateway",), "the gateway pays with one of the secrets"),
    "claude_code": (("agentapi",), "an agent is Claude Code behind AgentAPI"),
    "keys": (
        ("dispatch", "orchestrator", "monitoring"),
        "the orchestrator reaches other hosts with its keys",
    ),
    DISPATCH: (("backup",), "backups go the way to agents"),
    "orchestrator": (("monitoring",), "the monitoring sees the fleet with the page's eyes"),
    "agentapi": (("dispatch",), "without an agent there is none to reach"),
}


def check(document: Document, file: FleetFile) -> list[Problem]:
    """Return every problem that the rules find."""
    return [problem for rule in _RULES for problem in rule(document, file)]


def _at(document: Document, path: Key) -> object:
    """Return the raw value at `path`; `...` where there is none."""
    value: Any = document.data
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            return ...
        value = value[part]
    return value


def _absent(document: Document, path: Key, required: tuple[str, ...]) -> Iterator[Problem]:
    enclosing = _at(document, path)
    if not isinstance(enclosing, Mapping):
        return
    for name in required:
        value = enclosing.get(name, ...)
        if value is ...:
            yield document.problem((*path, name), "is missing", f"add `{name}:` here")
        elif value is None:
            yield document.problem((*path, name), "has no value", "write one after the colon")


def _required_keys(document: Document, file: FleetFile) -> Iterator[Problem]:
    yield from _absent(document, (), FleetFile.required)
    if file.toolchain is not None:
        yield from _absent(document, ("toolchain",), ToolchainEntry.required)
    hosts = _at(document, ("hosts",))
    for name, host in hosts.items() if isinstance(hosts, Mapping) else ():
        if host is not None:
            yield from _absent(document, ("hosts", name), HostEntry.required)
    if hosts == {}:
        yield document.problem(("hosts",), "there is no host", "add an orchestrator and workers")


def _host_names(document: Document, file: FleetFile) -> Iterator[Problem]:
    hosts = _at(document, ("hosts",))
    for name in hosts if isinstance(hosts, Mapping) else ():
        path = ("hosts", name)
        if name in GROUP_NAMES:
            fix = "pyinfra has a group of that name: call the host something else"
            yield document.problem(path, f"a host may not be called {show(name)}", fix)
        elif not re.fullmatch(HOST_NAME, name):
            lower = name.lower()
            fix = "use a-z, 0-9 and - (not first or last), at most 63 characters"
            if re.fullmatch(HOST_NAME, lower):
                fix = f"host names are written in lower case: {lower}"
            yield document.problem(path, f"{show(name)} is not a host name", fix)
        elif name.isdigit() or name == "localhost":
            fix = "programs take it for an address: choose another name"
            yield document.problem(path, f"{show(name)} cannot be a host's name", fix)


def _one_orchestrator(document: Document, file: FleetFile) -> Iterator[Problem]:
    found = [name for name, host in file.hosts.items() if host.role is Role.ORCHESTRATOR]
    for name in found[1:]:
        path = ("hosts", found[0], "role")
        fix = f"{found[0]} is the orchestrator already (line {document.line(path)})"
        path = ("hosts", name, "role")
        yield document.problem(path, "a fleet has one orchestrator, this is another", fix)
    unknown = any(host.role is None for host in file.hosts.values())
    if file.hosts and not found and not unknown:
        fix = f"give one host `role: {Role.ORCHESTRATOR}`"
        yield document.problem(("hosts",), "no host is the orchestrator", fix)


def _matching_kinds(document: Document, file: FleetFile) -> Iterator[Problem]:
    for name, host in file.hosts.items():
        path = ("hosts", name)
        if host.role and host.os and host.os not in ROLE_OS[host.role]:
            fix = f"the role {host.role} runs {' or '.join(ROLE_OS[host.role])}"
            fault = f"{host.os} does not go with the role {host.role}"
            yield document.problem((*path, "os"), fault, fix)
        if not host.arch:
            continue
        if host.role and host.arch not in ROLE_ARCH[host.role]:
            fix = f"the role {host.role} is always {' or '.join(ROLE_ARCH[host.role])}"
            fault = f"{host.arch} does not go with the role {host.role}"
            yield document.problem((*path, "arch"), fault, fix)
        elif host.os and host.arch not in OS_ARCH[host.os]:
            fix = f"{host.os} is supported on {' and '.join(OS_ARCH[host.os])}"
            fault = f"{host.arch} does not go with the system {host.os}"
            yield document.problem((*path, "arch"), fault, fix)


def _scheduler(document: Document, file: FleetFile) -> Iterator[Problem]:
    if file.scheduler is None or not file.hosts:
        return
    host = file.hosts.get(file.scheduler)
    if host is None:
        if file.scheduler not in document_hosts(document):
            fix = suggest(file.scheduler, file.hosts)
            yield document.problem(("scheduler",), f"no host is called {show(file.scheduler)}", fix)
    elif host.role in MAC_ROLES:
        fix = "name a Linux host, or leave it out: the orchestrator is the default"
        yield document.problem(("scheduler",), f"{file.scheduler} is a Mac", fix)


def _backup(document: Document, file: FleetFile) -> Iterator[Problem]:
    name = file.backup
    if name is None or not file.hosts:
        return
    host = file.hosts.get(name)
    path: Key = ("backup",)
    if host is None:
        if name not in document_hosts(document):
            fix = suggest(name, file.hosts)
            yield document.problem(path, f"no host is called {show(name)}", fix)
    elif host.role is Role.ORCHESTRATOR:
        fix = "name another host: what is backed up must not be lost with it"
        yield document.problem(path, f"{name} is the orchestrator itself", fix)
    elif not _has_agent(host) or DISPATCH in host.without:
        fix = "name a host with an agent, or give it one: `agent: {enabled: true}`"
        yield document.problem(path, f"the orchestrator cannot come to {name}", fix)


def _has_agent(host: HostEntry) -> bool:
    enabled = host.agent.enabled
    return host.role in AGENT_ROLES if enabled is None else enabled


def _relays(document: Document, file: FleetFile) -> Iterator[Problem]:
    sites: dict[str, list[str]] = {}
    for name, host in file.hosts.items():
        sites.setdefault(host.site, []).append(name)
    wrong = {*document_hosts(document)} - {*file.hosts}  # and told so already
    for site, name in file.relays.items() if file.hosts else ():
        if name not in wrong and (found := _no_relay(file, name, site, sites)):
            yield document.problem(("relays", site), *found)


def _no_relay(
    file: FleetFile, name: str, site: str, sites: Mapping[str, list[str]]
) -> tuple[str, str] | None:
    """Why the host cannot be the relay of the site, and what to do; None when it can."""
    if (there := sites.get(site)) is None:
        return f"no host is at {show(site)}", suggest(site, sites)
    host = file.hosts.get(name)
    if any(file.hosts[one].role is Role.ORCHESTRATOR for one in there):
        fix = "remove it: the orchestrator is there, and serves its neighbours itself"
        return f"{site} needs no relay", fix
    if host is None:
        return f"no host is called {show(name)}", suggest(name, there)
    if host.site != site:
        fix = f"name a host of that site: {', '.join(there)}"
        return f"{name} is not at {site} but at {host.site}", fix
    if host.os is Os.MACOS:
        fix = "name a Linux host, or none: downloads are served by busybox, which no Mac has"
        return f"{name} is a Mac", fix
    if host.power is not Power.ALWAYS_ON:
        fix = "name a host that is always on, or none: its neighbours wait for what it fetches"
        return f"{name} {host.power}", fix
    return None


def document_hosts(document: Document) -> tuple[str, ...]:
    """Return the names under `hosts`, also of those hosts whose entries are wrong."""
    hosts = _at(document, ("hosts",))
    return tuple(hosts) if isinstance(hosts, Mapping) else ()


def _jobs(document: Document, file: FleetFile) -> Iterator[Problem]:
    for name, host in file.hosts.items():
        if host.role is None or host.cores is None:
            continue
        path, reserve = ("hosts", name), reserved_cores(host.role)
        most = host.cores - reserve
        kept = f"of {host.cores} cores the role {host.role} reserves {reserve}"
        if most < 1:
            fix = f"{kept}: it needs at least {reserve + 1}"
            yield document.problem((*path, "cores"), "no core is left for compile jobs", fix)
        elif host.max_jobs is not None and host.max_jobs > most:
            fix = f"{kept}: write at most {most}, or leave it out"
            fault = f"{host.max_jobs} jobs are too many"
            yield document.problem((*path, "max_jobs"), fault, fix)


def _budgets(document: Document, file: FleetFile) -> Iterator[Problem]:
    stated = _at(document, ("budgets",))
    named = stated if isinstance(stated, Mapping) else {}
    for name, host in file.hosts.items():
        if host.role is None or host.role in named:
            continue
        if _at(document, ("hosts", name, "budget")) in (..., None):
            fix = f"add `budget:` here, or `{host.role}:` to the file's `budgets:`"
            yield document.problem(("hosts", name), "the host has no budget", fix)


def _logins(document: Document, file: FleetFile) -> Iterator[Problem]:
    if _at(document, ("ssh", "user")) not in (..., None):
        return
    users = {name: _at(document, ("hosts", name, "ssh", "user")) for name in file.hosts}
    without = [name for name, user in users.items() if user in (..., None)]
    if without and len(without) == len(users):
        fix = "add `ssh: {user: …}` to the file: it holds for every host"
        yield document.problem(("ssh", "user"), "no host has an SSH user", fix)
        return
    for name in without:
        fix = "add `ssh: {user: …}` here, or `user:` to the file's `ssh:`"
        yield document.problem(("hosts", name), "the host has no SSH user", fix)


def _capabilities(document: Document, file: FleetFile) -> Iterator[Problem]:
    for name, host in file.hosts.items():
        known = known_capabilities(host.role) if host.role else ()
        stated = _at(document, ("hosts", name, "without"))
        names = stated if isinstance(stated, list) else []
        for index, capability in enumerate(names):
            path = ("hosts", name, "without", index)
            if capability not in host.without:
                continue  # wrong in itself
            if capability in names[:index]:
                yield document.problem(path, f"{show(capability)} is here twice", "keep one")
            elif known and capability not in known:
                fault = f"the role {host.role} has no capability {show(capability)}"
                yield document.problem(path, fault, suggest(capability, known))
            elif capability == FOUNDATION and set(known) - set(host.without):
                fix = "leave out the others too, or keep it"
                fault = f"every other capability stands on {FOUNDATION}"
                yield document.problem(path, fault, fix)
            elif behind := _left(NEEDED.get(capability, ((), ""))[0], known, host):
                fix = f"leave out {' and '.join(behind)} too, or keep it"
                yield document.problem(path, NEEDED[capability][1], fix)
            elif capability == SCHEDULING and name == _scheduler_name(file):
                fix = "keep it here, or name another host as `scheduler:`"
                fault = f"{name} runs the compile scheduler, which belongs to {SCHEDULING}"
                yield document.problem(path, fault, fix)
            elif capability == RELAYING and name == file.relays.get(host.site):
                fix = f"keep it here, or name another host as the relay of {host.site}"
                yield document.problem(path, f"{name} is its site's relay", fix)


def _left(some: tuple[str, ...], known: tuple[str, ...], host: HostEntry) -> list[str]:
    """Which of some capabilities the host gets."""
    return [one for one in some if one in known and one not in host.without]


def _scheduler_name(file: FleetFile) -> str | None:
    orchestrators = (name for name, host in file.hosts.items() if host.role is Role.ORCHESTRATOR)
    return file.scheduler or next(orchestrators, None)


def _addresses(document: Document, file: FleetFile) -> Iterator[Problem]:
    seen: dict[tuple[str, int], str] = {}
    for name, host in file.hosts.items():
        port = _ssh_port(document, file, name)
        wanted = {"lan": (host.addresses.lan, port), "tailnet": (host.addresses.tailnet, 0)}
        for kind, (address, at_port) in wanted.items():
            if address is None or at_port is None:
                continue
            first = seen.setdefault((_canonical(address), at_port), name)
            if first != name:
                line = document.line(("hosts", first, "addresses", kind))
                where = f"{address} port {port}" if kind == "lan" else address
                path = ("hosts", name, "addresses", kind)
                fix = "two hosts cannot answer there: correct one of the two"
                fault = f"{where} is the address of {first} (line {line}) already"
                yield document.problem(path, fault, fix)


def _ssh_port(document: Document, file: FleetFile, name: str) -> int | None:
    """Return the port that SSH uses for a host; None when the one that is stated is wrong."""
    own = (("hosts", name, "ssh", "port"), file.hosts[name].ssh.port)
    for path, port in (own, (("ssh", "port"), file.ssh.port)):
        if _at(document, path) not in (..., None):
            return port
    return DEFAULT_SSH_PORT


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address.casefold().removesuffix(".")


def _operators(document: Document, file: FleetFile) -> Iterator[Problem]:
    seen: dict[str, Key] = {}
    for name, one in file.operators.items():
        path: Key = ("operators", name)
        if not re.fullmatch(HOST_NAME, name):
            fix = "use a-z, 0-9 and -, at most 63 characters"
            yield document.problem(path, f"{show(name)} is not a name", fix)
        stated = _at(document, (*path, "ssh_keys"))
        if stated in (..., []):
            fix = "add `ssh_keys: [ssh-ed25519 AAAA… comment]`, or remove the operator"
            yield document.problem(path, "the operator has no SSH key", fix)
        for index, key in enumerate(stated if isinstance(stated, list) else ()):
            blob, at = " ".join(str(key).split(" ")[:2]), (*path, "ssh_keys", index)
            first = seen.setdefault(blob, at)
            if key in one.ssh_keys and first != at:
                fix = "each key belongs to one person: keep one of the two"
                fault = f"this key is in line {document.line(first)} already"
                yield document.problem(at, fault, fix)


def _secrets(document: Document, file: FleetFile) -> Iterator[Problem]:
    for name in file.secrets:
        if name not in KNOWN:
            fix = suggest(name, sorted(KNOWN))
            fault = f"no secret is called {show(name)}"
            yield document.problem(("secrets", name), fault, fix)
    if {"anthropic_api_key", "claude_subscription_token"} <= file.secrets.keys():
        fix = "agents use one of the two: keep that"
        path = ("secrets", "claude_subscription_token")
        yield document.problem(path, "there is an anthropic_api_key as well", fix)


_RULES: tuple[Rule, ...] = (
    _required_keys,
    _host_names,
    _one_orchestrator,
    _matching_kinds,
    _scheduler,
    _backup,
    _relays,
    _jobs,
    _budgets,
    _logins,
    _capabilities,
    _addresses,
    _operators,
    _secrets,
)
