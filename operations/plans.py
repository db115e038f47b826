"""What an operation is told of its host, and what it plans: plain values, without pyinfra."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from facts.look import Look
from facts.probe import Probe
from fleet.resources import Resources


@dataclass(frozen=True)
class HostContext:
    """What an operation needs to know of its host besides what it shall bring there.

    `wanted` holds (kind, name) of everything any capability wants on the host, so that what moves
    from one capability to another is not taken for an orphan. `digests` has the content that each
    file of ours on the host should have.
    """

    capability: str
    mac: bool
    state_dir: str
    asked: tuple[Probe, ...]
    wanted: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    digests: Mapping[str, str] = field(default_factory=dict)


class Order(Protocol):
    """What a capability wants on the host at hand, asked each time an operation plans.

    Asked late, since an earlier operation of the same run may have learned what the answer
    depends on, such as the address under which a host has just joined the tailnet.
    """

    @property
    def capability(self) -> str:
        """Name of the capability."""

    def context(self) -> HostContext:
        """What is to be known of the host besides the resources."""

    def want(self) -> Resources:
        """The resources, the content of secrets included. Raises FleetError without a secret."""

    def secret(self, name: str) -> str:
        """The value of a secret. Raises FleetError when it cannot be had."""

    def hindrance(self, look: Look) -> str:
        """Why the host cannot have the capability now; empty when it can."""


@dataclass(frozen=True)
class Change:
    """A difference and its cure: `says` in the user's words, `script` in sh, run as root.

    `pending` is what has to wait (an agent at work); a change may consist of that alone, with an
    empty script.
    """

    says: tuple[str, ...]
    script: str
    diffs: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()


class RefusedError(Exception):
    """A host cannot be brought to its state; the text says what is wrong and what to do."""


def wrap(script: str) -> str:
    """The script as it is sent: stops at the first error, reads nothing from its own input.

    In a function, so that the shell has all of it before a program inside can read standard input.
    """
    return (
        "set -eu\nexport LC_ALL=C\numask 022\n"
        'fail() { echo "agentfleet: $*" >&2; exit 1; }\n'
        f"main() {{\n{script}\n}}\nmain </dev/null\n"
    )
