"""The tailnet's policy for the fleet: who may reach which port of whom, rendered from the doors.

A tag stands for hosts only where it stands for exactly those that are meant: a grant to a tag opens
the port of every host that has it. All other hosts are named by their addresses. An alias holds one
address, and a grant to an IPv4 address says nothing about the same host's IPv6 address, so each
host gets two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from fleet.doors import Door, Who, doors
from fleet.kinds import Role
from fleet.model import Fleet, Host
from fleet.settings import settings_for

GROUP = "group:agentfleet-operators"
ALIAS_PREFIX = "agentfleet-"
# Addresses of Tailscale's own DNS service, so no device's: who comes from there reaches nothing.
STRANGERS = {
    f"{ALIAS_PREFIX}stranger4": "100.100.100.100",
    f"{ALIAS_PREFIX}stranger6": "fd7a:115c:a1e0::53",
}
ADMINS = "autogroup:admin"
SECTIONS = ("groups", "tagOwners", "hosts", "grants", "tests")


@dataclass(frozen=True)
class Opening:
    """The same door of several hosts, open to the same hosts and people."""

    port: int
    sources: frozenset[str]  # names of hosts
    operators: bool
    hosts: frozenset[str]
    doors: tuple[str, ...]  # their names


@dataclass(frozen=True)
class Rule:
    """One grant. Sources and destinations are selectors of the policy file."""

    src: tuple[str, ...]
    dst: tuple[str, ...]
    ports: tuple[int, ...]
    doors: tuple[str, ...]

    def grant(self) -> dict[str, list[str]]:
        """The rule as it stands in the policy file."""
        ports = [f"tcp:{port}" for port in self.ports]
        return {"src": list(self.src), "dst": list(self.dst), "ip": ports}


def tag_of(host: Host) -> str:
    """The tag that the host joins with; empty where the host is its person's own."""
    return settings_for(host.role.value).tailnet_tag


@cache
def known_tags() -> frozenset[str]:
    """The tags of all roles, whether the fleet has such hosts or not."""
    return frozenset(settings_for(role.value).tailnet_tag for role in Role) - {""}


def aliases(host: Host) -> dict[str, str]:
    """Alias → address, for each tailnet address of the host that is known."""
    known = {"v4": host.addresses.tailnet, "v6": host.addresses.tailnet6}
    # Every alias has its suffix, so that no host's name makes it another host's.
    return {f"{ALIAS_PREFIX}{host.name}-{kind}": to for kind, to in known.items() if to}


def policy(fleet: Fleet) -> dict[str, Any]:
    """The sections of the policy file that are the fleet's; sections without content are absent."""
    return Policy(fleet).sections


@dataclass(frozen=True)
class Policy:
    """What the doors of one fleet come to in the tailnet."""

    fleet: Fleet

    @cached_property
    def logins(self) -> tuple[str, ...]:
        """The tailnet's names of the operators that have one."""
        return tuple(one.login for one in self.fleet.operators if one.login)

    @cached_property
    def openings(self) -> tuple[Opening, ...]:
        """Every door of every host, those that are open to nobody included."""
        found: dict[tuple[int, frozenset[str], bool], list[tuple[str, str]]] = {}
        for host in self.fleet.hosts:
            for door in doors(self.fleet, host):
                key = (door.port, self._sources(door), self._for_operators(door))
                found.setdefault(key, []).append((host.name, door.name))
        return tuple(
            Opening(
                *key,
                hosts=frozenset(host for host, _ in those),
                doors=tuple(dict.fromkeys(door for _, door in those)),
            )
            for key, those in sorted(found.items(), key=lambda one: (one[0][0], sorted(one[0][1])))
        )

    def _sources(self, door: Door) -> frozenset[str]:
        if door.who is Who.ANYWHERE and not door.dispatch:
            return frozenset()  # no host needs a shell on another; people: Door.operators
        if door.who in (Who.ANYWHERE, Who.ORCHESTRATOR):
            return frozenset({self.fleet.orchestrator.name})
        return frozenset(host.name for host in self.fleet.hosts)

    def _for_operators(self, door: Door) -> bool:
        return bool(self.logins) and (door.operators or door.who is Who.TAILNET)

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The grants: one for all doors that the same sources reach on the same hosts."""
        merged: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Opening]] = {}
        for opening in self.openings:
            src, dst = self._src(opening), self._selectors(opening.hosts)
            if src and dst:
                merged.setdefault((src, dst), []).append(opening)
        return tuple(
            Rule(
                src,
                dst,
                tuple(sorted({one.port for one in those})),
                tuple(dict.fromkeys(door for one in those for door in one.doors)),
            )
            for (src, dst), those in merged.items()
        )

    def _src(self, opening: Opening) -> tuple[str, ...]:
        people = (GROUP,) if opening.operators else ()
        return (*self._selectors(opening.sources), *people)

    @cached_property
    def tagged(self) -> Mapping[str, frozenset[str]]:
        """Tag → the hosts that have it."""
        found: dict[str, set[str]] = {}
        for host in self.fleet.hosts:
            if tag := tag_of(host):
                found.setdefault(tag, set()).add(host.name)
        return {tag: frozenset(hosts) for tag, hosts in found.items()}

    def _selectors(self, hosts: frozenset[str]) -> tuple[str, ...]:
        """What stands for these hosts and no others; hosts without known addresses are left out."""
        tags = [tag for tag, having in self.tagged.items() if having <= hosts]
        named = (alias for host in self._by_address(hosts) for alias in aliases(host))
        return (*tags, *named)

    def _by_address(self, hosts: frozenset[str]) -> Iterator[Host]:
        for host in self.fleet.hosts:
            tag = tag_of(host)
            if host.name in hosts and not (tag and self.tagged[tag] <= hosts):
                yield host

    @cached_property
    def _named(self) -> dict[str, Host]:
        """The hosts that no tag stands for, in one rule at least."""
        sets = {those for one in self.openings for those in (one.sources, one.hosts)}
        wanted = {host.name for hosts in sets for host in self._by_address(hosts)}
        return {host.name: host for host in self.fleet.hosts if host.name in wanted}

    @cached_property
    def _addresses(self) -> dict[str, str]:
        return {alias: to for host in self._named.values() for alias, to in aliases(host).items()}

    @cached_property
    def left_out(self) -> Mapping[str, str]:
        """Host → the kinds of its addresses that the policy needs and nobody has learned yet."""
        missing = {}
        for name, host in self._named.items():
            known = {"IPv4": host.addresses.tailnet, "IPv6": host.addresses.tailnet6}
            if lacking := [kind for kind, address in known.items() if not address]:
                missing[name] = " and ".join(lacking)
        return missing

    @cached_property
    def sections(self) -> dict[str, Any]:
        """The policy file's content."""
        owners = [GROUP] if self.logins else [ADMINS]
        tests = self._tests()
        tested = {test["src"] for test in tests}
        strangers = {alias: to for alias, to in STRANGERS.items() if alias in tested}
        found: dict[str, Any] = {
            "groups": {GROUP: list(self.logins)} if self.logins else {},
            "tagOwners": dict.fromkeys(self.tagged, owners),
            "hosts": {**self._addresses, **strangers},
            "grants": [rule.grant() for rule in self.rules],
            "tests": tests,
        }
        return {name: content for name, content in found.items() if content}

    def _tests(self) -> list[dict[str, Any]]:
        """What the tailnet checks whenever somebody saves its policy.

        Only what is in the tailnet for sure is tested: a test of a tag that no device has yet might
        fail, and then the policy that lets the first one join could not be saved.
        """
        sources = dict.fromkeys(src for rule in self.rules for src in rule.src)
        found = []
        for src in (*filter(self._is_there, sources), *STRANGERS):
            accept = [
                f"{dst}:{port}"
                for rule in self.rules
                if src in rule.src
                for dst in self._reachable(src, rule.dst)
                for port in rule.ports
            ]
            deny = [
                f"{dst}:{one.port}"
                for one in self.openings
                for dst in self._reachable(src, self._selectors(one.hosts))
                if not self._may_be_open(src, dst, one.port)
            ]
            test = {"src": src, "proto": "tcp", "accept": accept, "deny": deny}
            if accept or deny:
                found.append({key: value for key, value in test.items() if value})
        return found

    def _is_there(self, selector: str) -> bool:
        """Whether the tailnet has a device of that name, as far as is known."""
        hosts = self.tagged.get(selector)
        return hosts is None or any(
            aliases(host) for host in self.fleet.hosts if host.name in hosts
        )

    def _reachable(self, src: str, dst: Iterable[str]) -> Iterator[str]:
        """The destinations that exist and have addresses of a kind that the source has too."""
        for one in filter(self._is_there, dst):
            if len({self._kind(src), self._kind(one)} - {""}) < 2:
                yield one

    def _kind(self, selector: str) -> str:
        """The kind of address that the selector stands for; empty where it is both."""
        address = {**self._addresses, **STRANGERS}.get(selector, "")
        return ("v6" if ":" in address else "v4") if address else ""

    def _may_be_open(self, src: str, dst: str, port: int) -> bool:
        """Whether the source may get through, by that name or by any other that it may have.

        A workstation may belong to an operator, so it may come as one, and an operator as it.
        """
        mine = {host.name for host in self.fleet.hosts if not tag_of(host)}
        comes_from = mine if src == GROUP else self._stands_for(src)
        as_operator = src == GROUP or bool(comes_from & mine)
        return any(
            one.port == port
            and self._stands_for(dst) & one.hosts
            and (comes_from & one.sources or (as_operator and one.operators))
            for one in self.openings
        )

    def _stands_for(self, selector: str) -> frozenset[str]:
        alone = (host.name for host in self.fleet.hosts if selector in aliases(host))
        return self.tagged.get(selector) or frozenset(alone)
