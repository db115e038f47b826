"""What the tailnet knows: nodes, keys, policy. Names and addresses are given out here."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.tailnet.policy import Policy, Subject

LOGIN = "lab@example.com"  # the one person of this tailnet: owns its keys and the Windows PCs
SUFFIX = "lab.ts.net"
FIRST, LAST = 100, 254  # the last part of addresses, in joining order; none is given out twice
DAY_S = 86400.0
LOGIN_S = 180 * DAY_S  # how long a login is good for; a tagged node's never ends
LABEL_LENGTH = 63

Prefs = dict[str, str | bool]


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an error
    """The control plane says no; its words."""


@dataclass
class Node:
    """One device of the tailnet. `machine` is the digest of the secret that its host keeps."""

    number: int  # the last part of its addresses
    host: str  # of the lab
    machine: str
    hostname: str  # as it asked for
    label: str  # as it is called: unique
    owner: str
    tags: tuple[str, ...] = ()
    expires: float | None = None  # when its login ends, in seconds since 1970
    logged_in: bool = True
    wanted: bool = True  # False after `tailscale down`
    prefs: Prefs = field(default_factory=dict)
    serve: dict[str, Any] = field(default_factory=dict)

    def needs_login(self, now: float) -> bool:
        """Whether it has to log in (again) before it is part of anything."""
        return not self.logged_in or (self.expires is not None and self.expires <= now)

    @property
    def dns_name(self) -> str:
        """Its full name."""
        return f"{self.label}.{SUFFIX}"


@dataclass
class AuthKey:
    """A key that lets machines join; its text is nowhere here."""

    digest: str
    owner: str = LOGIN
    expired: bool = False


@functools.lru_cache(maxsize=8)
def _checked(policy: str) -> Policy:
    """A policy that was saved: every command asks for it, and its tests take a while."""
    return Policy.of(json.loads(policy))


@dataclass
class Tailnet:
    """The whole of it. `number` is the lab's, which its addresses are made of."""

    number: int
    nodes: list[Node] = field(default_factory=list)
    keys: list[AuthKey] = field(default_factory=list)
    policy: dict[str, Any] | None = None
    next_number: int = FIRST

    def of_machine(self, machine: str) -> Node | None:
        """The node that a host's secret belongs to."""
        return next((node for node in self.nodes if node.machine == machine), None)

    def named(self, label: str) -> Node | None:
        """The node of that name, short or full."""
        short = label.rstrip(".").removesuffix(f".{SUFFIX}").lower()
        return next((node for node in self.nodes if node.label == short), None)

    def ipv4(self, node: Node) -> str:
        """A node's IPv4 address."""
        return f"100.64.{self.number}.{node.number}"

    def ipv6(self, node: Node) -> str:
        """A node's IPv6 address."""
        return f"fd7a:115c:a1e0:{self.number:x}::{node.number}"

    def addresses(self, node: Node) -> tuple[str, str]:
        """Both addresses of a node."""
        return self.ipv4(node), self.ipv6(node)

    def subject(self, node: Node) -> Subject:
        """The node as rules see it: tags take its person's identity."""
        owner = "" if node.tags else node.owner
        return Subject(node.tags, owner, self.addresses(node))

    @property
    def rules(self) -> Policy | None:
        """The policy in force, or None where everything is allowed."""
        return None if self.policy is None else _checked(json.dumps(self.policy))

    def sees(self, one: Node, other: Node) -> bool:
        """Whether two nodes know of each other: a grant leads from either to the other."""
        rules = self.rules
        return rules is None or rules.connects(self.subject(one), self.subject(other))

    def peers(self, node: Node, now: float) -> Iterator[Node]:
        """The nodes that a node knows of."""
        for other in self.nodes:
            if other is not node and not other.needs_login(now) and self.sees(node, other):
                yield other

    def key(self, text: str) -> AuthKey:
        """The key of that text; refuses one that is unknown or has expired."""
        for key in self.keys:
            if key.digest == digest(text) and not key.expired:
                return key
        raise Refused("invalid key: API key does not exist")

    def permit(self, owner: str, tags: Sequence[str]) -> None:
        """Refuse tags that `owner` may not give to a machine."""
        rules = self.rules
        wrong = [tag for tag in tags if rules is not None and not rules.owns(owner, tag)]
        if wrong:
            raise Refused(f"requested tags [{' '.join(wrong)}] are invalid or not permitted")

    def join(
        self, machine: str, host: str, hostname: str, owner: str, tags: Sequence[str], now: float
    ) -> Node:
        """Let a machine in; one that was in before gets its old name and addresses back."""
        self.permit(owner, tags)
        node = self.of_machine(machine)
        if node is None:
            label = free_label(hostname, {other.label for other in self.nodes})
            node = Node(self._number(), host, machine, hostname, label, owner)
            self.nodes.append(node)
        self.rename(node, hostname)
        node.owner, node.logged_in, node.wanted = owner, True, True
        self.tag(node, tags, now)
        return node

    def tag(self, node: Node, tags: Sequence[str], now: float) -> None:
        """Give a node these tags and no others, as a login does."""
        self.permit(node.owner, tags)
        node.tags, node.expires = tuple(tags), None if tags else now + LOGIN_S

    def rename(self, node: Node, hostname: str) -> None:
        """Call a node otherwise. The name that it has stays when it asks for the same again."""
        if hostname != node.hostname:
            others = {other.label for other in self.nodes if other is not node}
            node.hostname, node.label = hostname, free_label(hostname, others)

    def _number(self) -> int:
        if self.next_number > LAST:
            raise Refused("the lab's tailnet has no addresses left: `fleet lab destroy`")
        self.next_number += 1
        return self.next_number - 1


def free_label(hostname: str, taken: set[str]) -> str:
    """A host's name as a DNS label that nobody has: `rpi1`, else `rpi1-1`, `rpi1-2`, …"""
    base = re.sub(r"[^a-z0-9]+", "-", hostname.lower()).strip("-")[:LABEL_LENGTH] or "node"
    label, count = base, 0
    while label in taken:
        count += 1
        label = f"{base}-{count}"
    return label


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.strip().encode()).hexdigest()
