"""One change to one host: what it says to the user, and the script that makes it.

Every operation is a pure plan (`look → Change | None`) carried out here, so that preparing, a dry
run and applying are one code path, and an error in one host's plan stays that host's.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pyinfra import host, logger, state
from pyinfra.api import Host, State
from pyinfra.api.command import FunctionCommand, PyinfraCommand, StringCommand

from facts.look import Look, forget, look
from facts.probe import Probe
from fleet.problems import FleetError
from fleet.resources import Resources
from fleet.secrets import redact

Commands = Generator[PyinfraCommand, None, None]
RECORDS = "FLEET_RECORDS"  # environment: a file that gets one JSON object per change


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


def carry_out(
    operation: str,
    order: Order,
    plan: Callable[[Resources, HostContext, Look], Change | None],
    supply: Callable[[Look], Sequence[PyinfraCommand]] = lambda look: (),
) -> Commands:
    """Yield what makes the planned change, nothing when there is none.

    `supply` gives the commands that bring what the script needs; only asked when executing.
    An exception in either becomes a command that fails this host alone: raised from here it would
    end the run for all of them.
    """
    try:
        context = order.context()
        seen = look(host, context.asked)
        if hindrance := order.hindrance(seen):
            skipped = f"{order.capability} skipped: {hindrance}"
            tell((host.name, skipped), logger.warning, host.print_prefix)
            return
        change = plan(order.want(), context, seen)
        if change is None:
            return
        supplies = supply(seen) if change.script and state.is_executing else ()
        announce(operation, context, change)
    except Exception as error:
        yield failure(f"{order.capability}: {operation}: {reason(error)}")
        return
    if not change.script:
        return
    if state.is_executing:
        forget(host)
    yield from supplies
    yield StringCommand("sh -s", _stdin=wrap(change.script))


def wrap(script: str) -> str:
    """The script as it is sent: stops at the first error, reads nothing from its own input.

    In a function, so that the shell has all of it before a program inside can read standard input.
    """
    return (
        "set -eu\nexport LC_ALL=C\numask 022\n"
        'fail() { echo "agentfleet: $*" >&2; exit 1; }\n'
        f"main() {{\n{script}\n}}\nmain </dev/null\n"
    )


def reason(error: Exception) -> str:
    """An exception in words for the user, without secrets."""
    # Not their subclasses: a KeyError's text is nothing but the key.
    expected = isinstance(error, RefusedError | FleetError) or type(error) in (
        LookupError,
        ValueError,
    )
    return redact(str(error) if expected else f"{type(error).__name__}: {error}")


def failure(message: str) -> FunctionCommand:
    """A command that fails this host with these words, and says them in a dry run."""
    if not state.is_executing:  # a dry run never gets to the command
        tell((host.name, message), logger.warning, host.print_prefix)

    def refuse(state: State, host: Host) -> bool:
        logger.error(f"{host.print_prefix}{message}")
        return False

    return FunctionCommand(refuse, (), {})


_told: set[tuple[str, str]] = set()


def tell(what: tuple[str, str], log: Callable[[str], None], prefix: str = "") -> None:
    """Tell once a run: an interactive run plans twice."""
    if what not in _told:
        _told.add(what)
        log(f"{prefix}{what[1]}")


def announce(operation: str, context: HostContext, change: Change) -> None:
    """Tell what changes, with diffs where they are wanted."""
    for line in (*change.says, *change.pending):
        tell((host.name, f"{context.capability}: {line}"), logger.info, host.print_prefix)
    for diff in change.diffs if state.config.DIFF else ():
        tell((host.name, diff), logger.info)
    _record(operation, context, change)


def _record(operation: str, context: HostContext, change: Change) -> None:
    if not (path := os.environ.get(RECORDS)):
        return
    record = {
        "time": round(time.time(), 3),
        "host": host.name,
        "capability": context.capability,
        "operation": operation,
        "phase": "apply" if state.is_executing else "plan",
        "changes": list(change.says),
        "pending": list(change.pending),
    }
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
