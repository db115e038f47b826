"""One change to one host: what it says to the user, and the script that makes it.

Every operation is a pure plan (`look → Change | None`) carried out here, so that preparing, a dry
run and applying are one code path, and an error in one host's plan stays that host's.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from pyinfra import host, logger, state
from pyinfra.api import Host, State
from pyinfra.api.command import FunctionCommand, PyinfraCommand, StringCommand

from facts.look import Look
from facts.looking import forget, look
from fleet.problems import FleetError
from fleet.resources import Resources
from fleet.secrets import redact
from operations.plans import Change, HostContext, Order, RefusedError, wrap

__all__ = [
    "Change",
    "Commands",
    "HostContext",
    "Order",
    "RefusedError",
    "announce",
    "carry_out",
    "failure",
    "reason",
    "tell",
    "wrap",
]

Commands = Generator[PyinfraCommand, None, None]
RECORDS = "FLEET_RECORDS"  # environment: a file that gets one JSON object per change


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
