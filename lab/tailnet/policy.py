"""The tailnet's policy: who owns which tag, who may reach what. Grants only, no older `acls`."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MEMBER, TAGGED = "autogroup:member", "autogroup:tagged"
ADMINS = ("autogroup:admin", "autogroup:owner", MEMBER)  # the lab's one person is all of them
KEYS = {"tagOwners", "hosts", "groups", "grants", "tests"}
HIGHEST_PORT = 65535
PROTOCOLS = ("tcp", "udp", "icmp")


class PolicyError(Exception):
    """A policy that cannot be in force; says where it is wrong."""


@dataclass(frozen=True)
class Subject:
    """What rules are about: a node, or anything that a test names."""

    tags: tuple[str, ...] = ()
    owner: str = ""  # a login; empty for what has tags
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ports:
    """What a grant opens: a protocol and a range of its ports."""

    protocol: str  # tcp, udp, icmp or *
    first: int = 0
    last: int = HIGHEST_PORT

    def hold(self, protocol: str, port: int) -> bool:
        """Whether that port is among them."""
        return self.protocol in ("*", protocol) and self.first <= port <= self.last


@dataclass(frozen=True)
class Grant:
    """One rule."""

    src: tuple[str, ...]
    dst: tuple[str, ...]
    ports: tuple[Ports, ...]


@dataclass(frozen=True)
class Policy:
    """A checked policy."""

    tag_owners: Mapping[str, Sequence[str]]
    hosts: Mapping[str, str]
    groups: Mapping[str, Sequence[str]]
    grants: tuple[Grant, ...]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Policy:
        """Check a policy as it is when it is saved; raises PolicyError, its tests included."""
        unknown = sorted(set(data) - KEYS)
        if unknown:
            raise PolicyError(f"not covered: {', '.join(unknown)}")
        policy = cls(
            data.get("tagOwners", {}),
            data.get("hosts", {}),
            data.get("groups", {}),
            tuple(_grant(one) for one in data.get("grants", [])),
        )
        for grant in policy.grants:
            for selector in (*grant.src, *grant.dst):
                policy.check(selector)
        failures = [text for test in data.get("tests", []) for text in policy.failures(test)]
        if failures:
            raise PolicyError("test(s) failed\n" + "\n".join(failures))
        return policy

    def check(self, selector: str) -> None:
        """Refuse a selector that means nothing here."""
        known = selector in ("*", TAGGED, *ADMINS) or selector in self.hosts or "@" in selector
        if selector.startswith("tag:"):
            known = selector in self.tag_owners
        elif selector.startswith("group:"):
            known = selector in self.groups
        if not known and not _network(selector):
            raise PolicyError(
                f"{selector!r} is not known: no tag with owners, group, host, address"
            )

    def owns(self, login: str, tag: str) -> bool:
        """Whether a person may give a machine that tag."""
        return any(
            owner in ADMINS or owner == login or login in self.groups.get(owner, ())
            for owner in self.tag_owners.get(tag, ())
        )

    def matches(self, selector: str, subject: Subject) -> bool:
        """Whether a selector of a grant means this subject."""
        if selector == "*":
            return True
        if selector == TAGGED:
            return bool(subject.tags)
        if selector in ADMINS:
            return bool(subject.owner)
        if selector.startswith("tag:"):
            return selector in subject.tags
        if selector.startswith("group:"):
            return bool(subject.owner) and subject.owner in self.groups[selector]
        if "@" in selector:
            return selector == subject.owner
        network = _network(self.hosts.get(selector, selector))
        return bool(network) and any(
            ipaddress.ip_address(address) in network for address in subject.addresses if network
        )

    def leading(self, src: Subject, dst: Subject) -> Iterator[Grant]:
        """The grants from one to another."""
        for grant in self.grants:
            from_here = any(self.matches(one, src) for one in grant.src)
            if from_here and any(self.matches(one, dst) for one in grant.dst):
                yield grant

    def connects(self, one: Subject, other: Subject) -> bool:
        """Whether any grant leads from either to the other."""
        return any(self.leading(one, other)) or any(self.leading(other, one))

    def allows(self, src: Subject, dst: Subject, protocol: str, port: int) -> bool:
        """Whether a connection may be made."""
        return any(
            ports.hold(protocol, port) for grant in self.leading(src, dst) for ports in grant.ports
        )

    def failures(self, test: Mapping[str, Any]) -> Iterator[str]:
        """What is not as a test of the policy says."""
        protocol = test.get("proto", "tcp")
        for verdict in ("accept", "deny"):
            for target in test.get(verdict, []):
                selector, _, port = target.rpartition(":")
                src, dst = self.example(test["src"]), self.example(selector)
                if self.allows(src, dst, protocol, int(port)) != (verdict == "accept"):
                    said = "denied" if verdict == "accept" else "accepted"
                    yield f"{test['src']} to {target} ({protocol}): want {verdict}, is {said}"

    def example(self, selector: str) -> Subject:
        """Something that a selector of a test means."""
        self.check(selector)
        if selector.startswith("tag:"):
            return Subject(tags=(selector,))
        if selector.startswith("group:"):
            return Subject(owner=next(iter(self.groups[selector]), ""))
        if "@" in selector:
            return Subject(owner=selector)
        return Subject(addresses=(self.hosts.get(selector, selector).split("/")[0],))


def _grant(data: Mapping[str, Any]) -> Grant:
    unknown = sorted(set(data) - {"src", "dst", "ip"})
    if unknown:
        raise PolicyError(f"a grant with {', '.join(unknown)} is not covered")
    if not data.get("src") or not data.get("dst") or not data.get("ip"):
        raise PolicyError(f"a grant needs src, dst and ip: {dict(data)}")
    ports = tuple(port for text in data["ip"] for port in parse_ports(text))
    return Grant(tuple(data["src"]), tuple(data["dst"]), ports)


def parse_ports(text: str) -> Iterable[Ports]:
    """Read `tcp:22`, `tcp:1-2`, `udp:*`, `icmp:*`, `*`, or a port of TCP and UDP: `22`."""
    found = re.fullmatch(r"(?:(tcp|udp|icmp):)?(?:(\*)|(\d+)(?:-(\d+))?)", text)
    if not found:
        raise PolicyError(f"{text!r} is no protocol and port, such as tcp:22")
    protocol, anything, first, last = found.groups()
    if anything:
        return [Ports(protocol or "*")]
    low, high = int(first), int(last or first)
    if not low <= high <= HIGHEST_PORT:
        raise PolicyError(f"{text!r} is no range of ports")
    return [Ports(one, low, high) for one in ([protocol] if protocol else ["tcp", "udp"])]


@functools.cache
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
