"""New versions of pinned downloads for `fleet upgrade`: which, taken on trial, and the way back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploys.llvm import PINNED as LLVM
from fleet.commands.pin import catalogued, wish_of
from fleet.environments import major
from fleet.lock import read_artifacts_lock
from fleet.pinning import pin
from fleet.problems import FleetError, WrongUsageError, show, suggest
from fleet.run import committed
from fleet.target import Target, artifacts_file
from fleet.upstream import Row, rows
from fleet.yamlfile import display


@dataclass(frozen=True)
class Step:
    """One download from the version that is pinned to a newer one."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class News:
    """What may be taken, what was learned beside that, and whether a source could not be asked."""

    steps: tuple[Step, ...]
    remarks: tuple[str, ...]
    failed: bool


def news(target: Target, names: Sequence[str]) -> News:
    """Ask the sources of these downloads, or of all. Raises WrongUsageError for one that is none.

    A compiler of another major than fleet.yaml's is not taken: that is changed there.
    """
    lock = read_artifacts_lock(artifacts_file())  # a lab plays some of them
    known = lock.artifacts
    for name in names:
        if name not in known:
            fault = f"no download that is pinned is called {show(name)}"
            raise WrongUsageError.of("fleet upgrade", fault, suggest(name, known))
    wanted = {name: one for name, one in known.items() if not names or name in names}
    found = rows(lock.model_copy(update={"artifacts": wanted}))
    taken = {row.name: Step(row.name, row.pinned, row.takes) for row in found if row.takes}
    remarks = [f"{row.name} at {row.origin}: {row.error or row.note}" for row in _odd(found)]
    step, toolchain = taken.get(LLVM), target.fleet.toolchain
    if step and toolchain and major(step.new) != toolchain.llvm:
        del taken[LLVM]
        remarks.append(f"{LLVM}: {step.new} is another major than `toolchain` in fleet.yaml says")
    return News(tuple(taken.values()), tuple(remarks), any(row.error for row in found))


def _odd(found: Sequence[Row]) -> Iterator[Row]:
    yield from (row for row in found if row.error or row.note)


class Trial:
    """New pins that go again unless they are kept. `way_back` is what to type when they were."""

    def __init__(self, path: Path, steps: Sequence[Step]) -> None:
        self._path, self._before, self._kept = path, path.read_bytes(), False
        old = [f"fleet pin {one.name} {one.old}" for one in steps]
        back = [f"git checkout {display(path)}"] if committed(path) else old
        self.way_back = "; ".join([*back, "fleet apply"])
        self._written = self._before

    def pin(self, step: Step) -> None:
        """Take one of them. Raises FleetError."""
        stated = catalogued(step.name, self._path)
        pin(wish_of(step.name, step.new, stated), self._path, dry=False)
        self._written = self._path.read_bytes()

    def keep(self) -> None:
        """Hosts are about to have them."""
        self._kept = True

    def end(self) -> None:
        """Put the lock back as it was, unless it is kept, or somebody else has written it since."""
        if self._kept or self._path.read_bytes() != self._written:
            return
        part = self._path.with_name(f".{self._path.name}.part")
        part.write_bytes(self._before)
        part.replace(self._path)


@contextmanager
def on_trial(steps: Sequence[Step]) -> Iterator[Trial]:
    """Pin all of them; whatever ends the block before `keep` leaves the lock as it was.

    Raises FleetError where one cannot be had, or the lock cannot be written.
    """
    path = artifacts_file()
    try:
        trial = Trial(path, steps)
    except OSError as error:
        raise FleetError.of(display(path), f"cannot be read: {error.strerror}", "") from None
    try:
        for step in steps:
            trial.pin(step)
        yield trial
    finally:
        trial.end()
