"""Applies what was planned, wave by wave, and stops where something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from fleet.exits import Exit, worst
from fleet.gate import ailing
from fleet.planned import HostPlan, Planned, Standing, gather
from fleet.problems import FleetError
from fleet.runner import Event, Runner
from fleet.target import Target
from fleet.waves import Wave, waves
from operations.locks import LOCKED

SETTLES = 2  # waves at most for what follows from what the waves before have learned


class Ending(StrEnum):
    """What became of a host."""

    CHANGED = "changed"
    CLEAN = "clean"  # nothing was to do
    PENDING = "pending"  # what is left has to wait
    FAILED = "failed"
    LOCKED = "locked"  # another run is changing it
    ASLEEP = "asleep"
    DOWN = "down"
    STOPPED = "stopped"  # on the way, by the user
    UNTOUCHED = "untouched"  # something else was wrong before its turn


_EXITS = {
    Ending.PENDING: Exit.CHANGES,
    Ending.FAILED: Exit.ERROR,
    Ending.LOCKED: Exit.LOCKED,
    Ending.ASLEEP: Exit.OFF,
    Ending.DOWN: Exit.ERROR,
    Ending.STOPPED: Exit.INTERRUPTED,
    Ending.UNTOUCHED: Exit.ERROR,
}


@dataclass(frozen=True)
class Result:
    """One host: what was changed there, what waits, and what went wrong."""

    host: str
    ending: Ending
    changes: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    diffs: tuple[str, ...] = ()
    error: str = ""


@dataclass
class Applied:
    """All hosts. `broken` says why the waves stopped."""

    results: dict[str, Result] = field(default_factory=dict)
    broken: tuple[str, ...] = ()
    stopped: bool = False

    @property
    def exit(self) -> Exit:
        """The exit code."""
        found = {_EXITS.get(one.ending, Exit.DONE) for one in self.results.values()}
        if self.broken and found <= {Exit.DONE, Exit.CHANGES, Exit.OFF}:
            found.add(Exit.ERROR)
        return worst(found | ({Exit.INTERRUPTED} if self.stopped else set()))

    @property
    def changed(self) -> tuple[str, ...]:
        """The hosts that were changed and are well."""
        return tuple(n for n, one in self.results.items() if one.ending is Ending.CHANGED)

    def add_pending(self, name: str, lines: tuple[str, ...]) -> None:
        """Note what waits on a host that was changed."""
        if lines:
            was = self.results[name]
            self.results[name] = replace(was, ending=Ending.PENDING, pending=was.pending + lines)


class Applier:
    """One `fleet apply`: `load` reads the truth anew, since runs learn; `heard` gets the events.

    `turn` is told of each wave before it begins.
    """

    def __init__(
        self,
        load: Callable[[], Target],
        runner: Runner,
        heard: Callable[[Event], None],
        turn: Callable[[Wave], None],
    ) -> None:
        self._load, self._runner, self._heard, self._turn = load, runner, heard, turn
        self.done = Applied()

    def apply(self, plan: Planned) -> Applied:
        """Change the hosts that the plan changes; then what follows from what they have told.

        An interrupt while nothing is changed ends it, too, and what was done so far is told.
        """
        self.done.results |= {host.host: _before(host) for host in plan.hosts}
        try:
            self._go(plan)
        except KeyboardInterrupt:
            self.done.stopped = True
        return self.done

    def _go(self, plan: Planned) -> None:
        before = self._lock()
        self._in_waves(plan.named(Standing.CHANGES))
        for _ in range(SETTLES):
            if self.done.broken or self.done.stopped or self._lock() == before:
                break
            before = self._lock()
            self._settle([host.host for host in plan.hosts if not host.unreached])

    def _lock(self) -> bytes:
        """What has been learned so far."""
        path = self._runner.target.lock_file
        return path.read_bytes() if path.exists() else b""

    def _settle(self, names: Sequence[str]) -> None:
        self._runner.target = self._load()
        seen = self._runner.look(names, self._heard)
        found = gather(self._runner.target, names, seen.events, "plan")
        for host in found:
            if host.error:
                was = self.done.results[host.host]
                self.done.results[host.host] = _joined(was, result_of(host, stopped=False))
        if changing := tuple(one.host for one in found if one.standing is Standing.CHANGES):
            self._wave(Wave("settle", changing))

    def _in_waves(self, names: Sequence[str]) -> None:
        for wave in waves(self._runner.target.fleet, names):
            if self.done.broken or self.done.stopped:
                for name in wave.hosts:
                    self.done.results[name] = Result(name, Ending.UNTOUCHED)
            else:
                self._wave(wave)

    def _wave(self, wave: Wave) -> None:
        self._turn(wave)
        try:
            outcome = self._runner.change(wave.hosts, self._heard)
        except FleetError as error:  # pyinfra itself broke: how far it came nobody knows
            self.done.broken = (f"{wave.name}: {error}",)
            for name in wave.hosts:
                self.done.results[name] = Result(name, Ending.FAILED, error=str(error))
            return
        self._runner.target = target = self._load()
        for host in gather(target, wave.hosts, outcome.events, "apply"):
            result = result_of(host, stopped=outcome.stopped)
            self.done.results[host.host] = _joined(self.done.results.get(host.host), result)
        self.done.stopped = outcome.stopped
        if not outcome.stopped:
            self.done.broken = self._judge(target, wave)

    def _judge(self, target: Target, wave: Wave) -> tuple[str, ...]:
        """What is wrong with the hosts of a wave, so that no further host shall follow them."""
        results = [self.done.results[name] for name in wave.hosts]
        broken = [f"{one.host}: {one.error}" for one in results if one.ending is Ending.FAILED]
        well = [
            one.host
            for one in results
            if one.ending in (Ending.CHANGED, Ending.CLEAN, Ending.PENDING)
        ]
        ill = ailing(target, well)
        for name, reason in ill.items():
            was = self.done.results[name]
            self.done.results[name] = Result(
                name, Ending.FAILED, was.changes, was.pending, was.diffs, reason
            )
        return (*broken, *(f"{name}: {reason}" for name, reason in ill.items()))


def _before(host: HostPlan) -> Result:
    """What is known of a host before anything is changed."""
    endings: Mapping[Standing, Ending] = {
        Standing.CLEAN: Ending.CLEAN,
        Standing.PENDING: Ending.PENDING,
        Standing.ASLEEP: Ending.ASLEEP,
        Standing.DOWN: Ending.DOWN,
        Standing.FAILED: Ending.FAILED,
        Standing.CHANGES: Ending.UNTOUCHED,
    }
    return Result(host.host, endings[host.standing], pending=host.pending, error=host.error)


def result_of(host: HostPlan, *, stopped: bool) -> Result:
    """What became of a host, as the events of the run that changed it tell."""
    diffs = tuple(diff for step in host.steps for diff in step.diffs)
    if host.silent:
        ending = Ending.ASLEEP if host.asleep else Ending.DOWN
    elif LOCKED in host.error:
        ending = Ending.LOCKED
    elif host.error:
        ending = Ending.STOPPED if stopped else Ending.FAILED
    elif host.pending:
        ending = Ending.PENDING
    else:
        ending = Ending.CHANGED if host.changes else Ending.CLEAN
    return Result(host.host, ending, host.changes, host.pending, diffs, host.error)


def _joined(was: Result | None, now: Result) -> Result:
    """A host that was changed before in this run has been changed, whatever the last wave did."""
    if was is None or not was.changes:
        return now
    ending = Ending.CHANGED if now.ending is Ending.CLEAN else now.ending
    return Result(
        now.host, ending, was.changes + now.changes, now.pending, was.diffs + now.diffs, now.error
    )
