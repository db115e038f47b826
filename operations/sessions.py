"""An agent's first session: begun from the orchestrator, which alone can have it paid."""

from __future__ import annotations

from collections.abc import Callable

from pyinfra import host, logger
from pyinfra.api import Host, State, operation
from pyinfra.api.command import FunctionCommand

from facts.look import Look
from facts.looking import forget, look
from fleet.resources import Resources
from operations.change import Change, Commands, Order, announce, failure, reason
from operations.records import note

Begin = Callable[[str], str]  # begins a session on the host; what was in the way, or empty


@operation()
def ensure(order: Order, begin: Begin) -> Commands:
    """Begin a session where there is none; a host that has one keeps it, also when it is spent."""
    try:
        context = order.context()
        seen = look(host, context.asked)
        change = None if order.hindrance(seen) else plan(order.want(), seen)
        if change is None:
            return
        announce("sessions", context, change)
    except Exception as error:
        yield failure(f"{order.capability}: session: {reason(error)}")
        return
    yield FunctionCommand(_begin, (begin,), {})


def plan(want: Resources, look: Look) -> Change | None:
    """Whether the agent has no session yet."""
    if want.session is None or look.path(want.session.mark):
        return None
    return Change(("session: begin the first one",), "")


def _begin(state: State, host: Host, begin: Begin) -> bool:
    """An orchestrator that is off keeps its agents from work, but fails none of their hosts."""
    forget(host)
    if fault := begin(host.name):
        waits = f"session pending, the next run tries again: {fault}"
        logger.warning(f"{host.print_prefix}{waits}")
        note("pending", host.name, text=waits)
    return True
