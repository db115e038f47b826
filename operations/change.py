"""One change to one host: what it says to the user, and the script that makes it.

Every operation is a pure plan (`look → Change | None`) carried out here, so that preparing, a dry
run and applying are one code path, and an error in one host's plan stays that host's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from pyinfra import host, logger, state
from pyinfra.api import Host, State
from pyinfra.api.command import FunctionCommand, PyinfraCommand, StringCommand
from pyinfra.connectors.util import CommandOutput

from facts.look import Look, forget, look
from facts.probe import Probe
from fleet.problems import FleetError
from fleet.resources import Resources
from fleet.run import this_run
from fleet.secrets import redact
from operations.locks import hold
from operations.records import note

Commands = Generator[PyinfraCommand, None, None]


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


def wrap(script: str) -> str:
    """The script as it is sent: stops at the first error, reads nothing from its own input.

    In a function, so that the shell has all of it before a program inside can read standard input.
    """
    return (
        "set -eu\nexport LC_ALL=C\numask 022\n"
        'fail() { echo "agentfleet: $*" >&2; exit 1; }\n'
        f"main() {{\n{script}\n}}\nmain </dev/null\n"
    )


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
