"""What hosts themselves keep of runs: their history, and the lock of the run at work on them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fleet.history import Line, recall
from fleet.plan import view_of
from fleet.problems import FleetError, printable
from fleet.ssh import Answer, as_root, route
from fleet.status import AT_ONCE
from fleet.target import Target
from operations.locks import FLEET_LOCK, LOCK, history_path, take_away, who_holds
from operations.plans import wrap

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Held:
    """A lock on a host: `lock` is its path, `words` say which run has it."""

    host: str
    lock: str
    words: str


def history_of(target: Target, name: str) -> tuple[Line, ...]:
    """The runs that have changed the host, oldest first. Raises FleetError when it is off."""
    path = history_path(view_of(target, name).settings.state_dir)
    answer = _ask(target, name, f"cat {shlex.quote(path)} 2>/dev/null || :")
    if answer.code:
        fix = "see what is the matter: fleet status"
        raise FleetError.of(name, f"cannot be asked: {answer.stderr or answer.code}", fix)
    return tuple(recall(answer.stdout))


def locks(target: Target, names: Sequence[str]) -> tuple[tuple[Held, ...], dict[str, str]]:
    """The locks on these hosts, the fleet's on its orchestrator too; and who could not be asked."""
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        answers = dict(zip(names, pool.map(lambda name: _locks(target, name), names), strict=True))
    held = [
        Held(name, lock, words)
        for name, answer in answers.items()
        if answer.code == 0
        for lock, words in _read(answer.stdout)
    ]
    return tuple(held), {
        name: answer.stderr or f"exit code {answer.code}"
        for name, answer in answers.items()
        if answer.code
    }


def unlock(target: Target, held: Held) -> str:
    """Take the lock away, if it is still that run's; what went wrong, or empty."""
    answer = _ask(target, held.host, wrap(take_away(held.words, held.lock)))
    return answer.stderr or f"exit code {answer.code}" if answer.code else ""


def _locks(target: Target, name: str) -> Answer:
    both = (LOCK, FLEET_LOCK) if name == target.fleet.orchestrator.name else (LOCK,)
    script = "\n".join(f"ask() {{\n{who_holds(lock)}\n}}\necho {lock}\nask" for lock in both)
    return _ask(target, name, wrap(script))


def _read(said: str) -> list[tuple[str, str]]:
    found, at = [], ""
    for line in said.splitlines():
        if line in (LOCK, FLEET_LOCK):
            at = line
        elif line and at:
            found.append((at, line))
    return found


def _ask(target: Target, name: str, script: str) -> Answer:
    answer = as_root(route(target.fleet.host(name), target), script, TIMEOUT_S)
    return Answer(answer.code, answer.stdout, printable(answer.stderr.strip()))
