"""One change to one host: what it says to the user, and the script that makes it.

Every operation is a pure plan (`look → Change | None`) carried out here, so that preparing, a dry
run and applying are one code path, and an error in one host's plan stays that host's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import Any

from pyinfra import host, logger, state
from pyinfra.api import Host, State
from pyinfra.api.command import FunctionCommand, PyinfraCommand, StringCommand
from pyinfra.connectors.util import CommandOutput

from facts.look import Look
from facts.looking import forget, look
from fleet.problems import FleetError
from fleet.resources import Resources
from fleet.run import this_run
from fleet.secrets import redact
from operations.locks import hold
from operations.plans import Change, HostContext, Order, RefusedError, wrap
from operations.records import note

__all__ = [
    "Change",
    "Commands",
    "HostContext",
    "Order",
    "RefusedError",
    "announce",
    "arguments",
    "carry_out",
    "failure",
    "guarded",
    "reason",
    "shell",
    "stop",
    "tell",
    "touched",
    "wrap",
]

Commands = Generator[PyinfraCommand, None, None]


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
        if state.is_executing and stopping and (host.name, order.capability) not in guarded:
            raise StoppedError(f"stopped before {order.capability}: {operation}")
        seen = look(host, context.asked)
        if hindrance := order.hindrance(seen):
            skipped = f"{order.capability} skipped: {hindrance}"
            if tell((host.name, skipped), logger.warning, host.print_prefix):
                note("skipped", host.name, capability=order.capability, text=hindrance)
            return
        change = plan(order.want(), context, seen)
        if change is None:
            return
        supplies = supply(seen) if change.script and state.is_executing else ()
        announce(operation, context, change)
    except StoppedError as error:
        yield failure(str(error))
        return
    except Exception as error:
        yield failure(f"{order.capability}: {operation}: {reason(error)}")
        return
    if not change.script:
        return
    lock = ""
    if state.is_executing:
        lock = hold(this_run())
        forget(host)
        touched.add(host.name)
    if supplies:  # they change the host, too
        yield StringCommand("sh -s", _stdin=wrap(lock))
    yield from supplies
    yield StringCommand("sh -s", _stdin=wrap(f"{lock}\n{change.script}"))


touched: set[str] = set()  # the hosts that this run has changed, or has begun to
guarded: set[tuple[str, str]] = set()  # host and capability whose change this run has guarded
stopping: list[bool] = []  # not empty: the run is to stop where it leaves every host consistent


def stop() -> None:
    """Begin nothing more on any host. What is under way is carried out, guarded changes whole."""
    stopping.append(True)


class StoppedError(Exception):
    """The user has stopped the run before this."""


def shell(host: Host, script: str, timeout_s: int | None = None) -> tuple[bool, CommandOutput]:
    """Run a script as root: whether it succeeded, and what it said."""
    given = arguments(host, _sudo=True, _stdin=wrap(script), _timeout=timeout_s)
    return host.run_shell_command(StringCommand("sh -s"), **given)


def arguments(host: Host, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - pyinfra's own
    """What a connector's method is given besides: as whom this operation runs, and `more`."""
    given: dict[str, Any] = dict(host.current_op_global_arguments or {})
    return {key: given[key] for key in ("_sudo_user", "_su_user") if key in given} | more


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
    with suppress(OSError):  # perhaps that is what is to be told
        note("failed", host.name, text=message)

    def refuse(state: State, host: Host) -> bool:
        logger.error(f"{host.print_prefix}{message}")
        return False

    return FunctionCommand(refuse, (), {})


_told: set[tuple[str, str]] = set()


def tell(what: tuple[str, str], log: Callable[[str], None], prefix: str = "") -> bool:
    """Tell once a run, since an interactive run plans twice; whether it was the first time."""
    if what in _told:
        return False
    _told.add(what)
    log(f"{prefix}{what[1]}")
    return True


def announce(operation: str, context: HostContext, change: Change) -> None:
    """Tell what changes, with diffs where they are wanted."""
    for line in (*change.says, *change.pending):
        tell((host.name, f"{context.capability}: {line}"), logger.info, host.print_prefix)
    for diff in change.diffs if state.config.DIFF else ():
        tell((host.name, diff), logger.info)
    note(
        "change",
        host.name,
        capability=context.capability,
        operation=operation,
        phase="apply" if state.is_executing else "plan",
        changes=change.says,
        pending=change.pending,
        diffs=change.diffs if state.config.DIFF else (),
    )
