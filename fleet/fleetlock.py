"""The whole fleet is one `fleet apply`'s at a time, whoever starts it wherever.

The lock is on the orchestrator. While that is off, only two runs of one workstation are kept apart.
Plain pyinfra does not ask for it: what it changes is kept apart host by host (operations/locks.py).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable

from fleet.exits import Exit
from fleet.problems import FleetError, printable
from fleet.run import Run
from fleet.ssh import Answer, as_root, route
from fleet.target import Target
from fleet.workstation import state_dir
from operations.locks import FLEET_LOCK, LOCKED, hold, take_away
from operations.plans import wrap

TIMEOUT_S = 20.0
WAIT_S = 5.0  # between two attempts
RENEW_S = 300.0


class LockedError(FleetError):
    """Another run has what this one needs."""

    exit_code = Exit.LOCKED


class FleetLock:
    """Held inside of the block. `say` gets a line for people, such as whom it waits for."""

    def __init__(self, target: Target, run: Run, say: Callable[[str], None], *, wait: bool) -> None:
        self._target, self._run, self._say, self._wait = target, run, say, wait
        self._remote = False
        self._renewed = 0.0

    def __enter__(self) -> FleetLock:
        """Take it. Raises LockedError when another has it, and nobody is to wait."""
        self._local = os.open(state_dir(self._target) / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._take()
        except BaseException:
            os.close(self._local)
            raise
        return self

    def _take(self) -> None:
        waited_for = ""
        while holder := self._attempt():
            if not self._wait:
                fix = "wait for it with --wait; if it is dead: fleet unlock"
                raise LockedError.of("the fleet", f"is locked: {holder}", fix)
            if holder != waited_for:
                self._say(f"waiting for {holder}")
                waited_for = holder
            time.sleep(WAIT_S)

    def __exit__(self, *error: object) -> None:
        if self._remote:
            self._ask(take_away(self._run.words, FLEET_LOCK))
        os.close(self._local)

    def renew(self) -> None:
        """Say that it is still needed; called often, it asks seldom."""
        if self._remote and time.monotonic() - self._renewed > RENEW_S:
            self._renewed = time.monotonic()
            self._ask(hold(self._run, FLEET_LOCK))

    def _attempt(self) -> str:
        """Whoever has it; empty when it is ours now."""
        try:
            fcntl.flock(self._local, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return "another `fleet apply` on this workstation"
        answer = self._ask(hold(self._run, FLEET_LOCK))
        if answer.code == 0:
            self._remote, self._renewed = True, time.monotonic()
            return ""
        if LOCKED in answer.stderr:
            fcntl.flock(self._local, fcntl.LOCK_UN)
            return printable(answer.stderr.partition(LOCKED)[2].strip())
        boss = self._target.fleet.orchestrator.name
        self._say(
            f"{boss} cannot be asked for the fleet's lock, so only runs from this workstation "
            f"are kept apart: {printable(answer.stderr.strip())}"
        )
        return ""

    def _ask(self, script: str) -> Answer:
        return as_root(
            route(self._target.fleet.orchestrator, self._target), wrap(script), TIMEOUT_S
        )
