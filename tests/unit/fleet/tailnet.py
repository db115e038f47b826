"""A small judge of tailnet policies: which connection the grants let through, which tests fail.

It knows of the policy language what the fleet's policies use, and raises LookupError for names that
nobody declared, as the tailnet refuses them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from fleet.model import Fleet
from fleet.policy import tag_of

GUEST = "guest@example.com"  # is no operator
TAILSCALE = ("100.100.100.100", "fd7a:115c:a1e0::53")  # in the tailnet, and no device's


@dataclass(frozen=True)
class Device:
    """A device in the tailnet: a tag's, or else a person's."""

    name: str
    addresses: tuple[str, ...]
    tag: str = ""
    login: str = ""


def devices(fleet: Fleet, owner: str = GUEST) -> dict[str, Device]:
    """The hosts as they are in the tailnet, learned or not; those without a tag are `owner`'s.

    With them a device of each operator, called by the login, and one of a guest.
    """
    found = {}
    for number, host in enumerate(fleet.hosts, 1):
        real = (f"100.103.0.{number}", f"fd7a:115c:a1e0:3::{number}")
        known = (host.addresses.tailnet, host.addresses.tailnet6)
        addresses = tuple(one or other for one, other in zip(known, real, strict=True))
        tag = tag_of(host)
        found[host.name] = Device(host.name, addresses, tag, "" if tag else owner)
    logins = [one.login for one in fleet.operators if one.login]
    for number, login in enumerate([*logins, GUEST], 1):
        addresses = (f"100.102.0.{number}", f"fd7a:115c:a1e0:1::{number}")
        found[login] = Device(login, addresses, login=login)
    return found


@dataclass(frozen=True)
class Tailnet:
    """A policy, and the devices it is about."""

    policy: Mapping[str, Any]
    devices: Mapping[str, Device]

    def without_grant(self, number: int) -> Tailnet:
        grants = [one for n, one in enumerate(self.policy["grants"]) if n != number]
        return replace(self, policy={**self.policy, "grants": grants})

    def with_grant(self, **grant: list[str]) -> Tailnet:
        return replace(self, policy={**self.policy, "grants": [*self.policy["grants"], grant]})

    def addresses(self, selector: str) -> set[str]:
        """The addresses that a selector stands for."""
        if selector == "*":
            return {a for one in self.devices.values() for a in one.addresses} | set(TAILSCALE)
        if selector.startswith("group:"):
            logins = self.policy["groups"][selector]
            return self._of(one for one in self.devices.values() if one.login in logins)
        if selector.startswith("tag:"):
            assert self.policy["tagOwners"][selector], f"nobody may give out {selector}"
            return self._of(one for one in self.devices.values() if one.tag == selector)
        if "@" in selector:
            return self._of(one for one in self.devices.values() if one.login == selector)
        return {self.policy["hosts"][selector]}

    def _of(self, devices: Iterable[Device]) -> set[str]:
        return {address for one in devices for address in one.addresses}

    def lets(self, src: str, dst: str, port: int) -> bool:
        """Whether a TCP connection from an address to an address and port gets through."""
        return any(
            src in sources and dst in targets and not ports.isdisjoint({f"tcp:{port}", "*"})
            for sources, targets, ports in self._filter
        )

    @cached_property
    def _filter(self) -> list[tuple[set[str], set[str], set[str]]]:
        """The grants, with addresses for names."""
        return [
            (self._named(grant["src"]), self._named(grant["dst"]), set(grant["ip"]))
            for grant in self.policy["grants"]
        ]

    def _named(self, selectors: Iterable[str]) -> set[str]:
        return {address for one in selectors for address in self.addresses(one)}

    def reaches(self, src: str, dst: str, port: int) -> set[int]:
        """The IP versions by which one device reaches a port of another."""
        pairs = zip(self.devices[src].addresses, self.devices[dst].addresses, strict=True)
        return {version(a) for a, b in pairs if self.lets(a, b, port)}

    def failures(self) -> list[str]:
        """The tests of the policy that fail, as the tailnet would run them when it is saved."""
        return [
            f"{test['src']} {verdict} {target}"
            for test in self.policy.get("tests", [])
            for verdict in ("accept", "deny")
            for target in test.get(verdict, [])
            if not self._holds(test["src"], target, accept=verdict == "accept")
        ]

    def _holds(self, src: str, target: str, *, accept: bool) -> bool:
        selector, _, port = target.rpartition(":")
        sources, targets = self.addresses(src), self.addresses(selector)
        tried = list(_comparable(sources, targets))
        if not tried:
            return False  # nothing to try it with: the tailnet calls that a failure
        got = [self.lets(a, b, int(port)) for a, b in tried]
        return all(got) if accept else not any(got)


def _comparable(sources: Iterable[str], targets: Iterable[str]) -> Iterator[tuple[str, str]]:
    targets = list(targets)
    yield from ((a, b) for a in sources for b in targets if version(a) == version(b))


def version(address: str) -> int:
    return 6 if ":" in address else 4
