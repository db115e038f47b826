"""A change that could lock us out is taken back by the host itself, unless we confirm it in time.

Before guarded files change, their present state is kept and the undo is armed on the host; when
the change is complete, a *fresh* SSH connection disarms it. The scripts are in operations/undo.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pyinfra import host, logger, state
from pyinfra.api import Host, State, operation
from pyinfra.api.command import FunctionCommand

from facts.look import Look
from facts.looking import forget, look
from fleet.resources import Resources
from fleet.ssh import Route, as_root
from operations.change import (
    Change,
    Commands,
    HostContext,
    Order,
    RefusedError,
    announce,
    carry_out,
    failure,
    guarded,
    reason,
    wrap,
)
from operations.files import differs
from operations.undo import TAKEN_BACK, arm_script, armed_path, confirm_script

CONFIRM_S = 20.0  # how long a fresh connection may take to come through, retries included
ATTEMPT_S = 15.0  # one attempt
PAUSE_S = 1.0
Confirm = Callable[[str, str], str]


@operation()
def arm(order: Order) -> Commands:
    """Arm the undo where guarded files are about to change."""
    for command in carry_out("guard", order, plan):
        if state.is_executing:
            guarded.add((host.name, order.capability))
        yield command


@operation()
def release(order: Order, confirm: Confirm) -> Commands:
    """Disarm through a fresh connection: `confirm(host, script)` runs it and says what failed."""
    try:
        context = order.context()
        seen = look(host, context.asked)
        if seen.path(armed_path(context)) is None:
            if (host.name, order.capability) in guarded:  # it hung until the time was up
                raise RefusedError(f"{TAKEN_BACK}: it cut this run off")
            return
        announce("guard", context, Change(("guard: confirm by a fresh connection",), ""))
        script = confirm_script(context)
    except Exception as error:
        yield failure(f"{order.capability}: guard: {reason(error)}")
        return
    yield FunctionCommand(_release, (script, confirm), {})


def _release(state: State, host: Host, script: str, confirm: Confirm) -> bool:
    forget(host)
    fault = insist(lambda: confirm(host.name, script))
    if fault:
        logger.error(f"{host.print_prefix}{fault}")
    return not fault


def confirm(way: Route, context: HostContext) -> str:
    """Disarm through a fresh connection; the reason why the change does not stay, or empty."""
    script = wrap(confirm_script(context))

    def attempt() -> str:
        answer = as_root(way, script, ATTEMPT_S)
        return "" if answer.code == 0 else answer.stderr or f"exit code {answer.code}"

    return insist(attempt)


def insist(attempt: Callable[[], str]) -> str:
    """Try until it says nothing, time is up or it is too late; what is to be told, or empty."""
    deadline = time.monotonic() + CONFIRM_S
    while fault := attempt():
        if TAKEN_BACK in fault or time.monotonic() > deadline:
            return (
                "a fresh connection does not get through, so the host takes the change back by "
                f"itself: {fault}"
            )
        time.sleep(PAUSE_S)
    return ""


def plan(want: Resources, context: HostContext, look: Look) -> Change | None:
    """Arm when a guarded file differs; what an earlier run left armed is prolonged then."""
    guard = want.guard
    if guard is None or not any(
        differs(file, look) for file in want.files if file.path in guard.paths
    ):
        return None
    says = f"guard: armed, the host takes the change back in {guard.window_s} s unless confirmed"
    return Change((says,), arm_script(guard, context))
