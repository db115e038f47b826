"""The lock of the whole fleet, with an orchestrator that answers as a test says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet import fleetlock
from fleet.fleetlock import FleetLock, LockedError
from fleet.run import Run
from fleet.ssh import Answer
from fleet.target import Target
from fleet.workstation import STATE
from tests.golden import target

RUN = Run("1-a", "anna", "desk", "now", "apply")
FREE = Answer(0, "", "")
TAKEN = Answer(1, "", "agentfleet: locked by another run: 2-b ben@laptop since then: apply\x1b[2J")
OFF = Answer(255, "", "ssh: connect to host boss port 22: Connection timed out")


class Boss:
    """The orchestrator: its next answers, and what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[str] = []

    def __call__(self, way: object, script: str, timeout_s: float) -> Answer:
        self.asked.append(script)
        return self.answers.pop(0) if self.answers else FREE


@pytest.fixture
def boss(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Boss:
    it = Boss()
    monkeypatch.setenv(STATE, str(tmp_path))
    monkeypatch.setattr(fleetlock, "as_root", it)
    monkeypatch.setattr(fleetlock, "route", lambda host, target: None)
    monkeypatch.setattr(fleetlock, "WAIT_S", 0.0)
    return it


FLEET: Target = replace(target(), name="real")


def lock(said: list[str], *, wait: bool = False) -> FleetLock:
    return FleetLock(FLEET, RUN, said.append, wait=wait)


def test_it_is_held_and_let_go_of(boss: Boss) -> None:
    said: list[str] = []
    with lock(said):
        assert "hold_lock" in boss.asked[-1]
        assert "fleet.lock" in boss.asked[-1]
    assert "hold_lock" not in boss.asked[-1]
    assert RUN.words in boss.asked[-1]
    assert said == []


def test_another_workstations_run_refuses_this_one(boss: Boss) -> None:
    boss.answers = [TAKEN]
    with pytest.raises(LockedError, match=r"locked: 2-b ben@laptop since then: apply\\x1b") as it:
        lock([]).__enter__()
    assert it.value.exit_code == 4
    assert len(boss.asked) == 1, "and it is not let go of"


def test_who_waits_is_told_once_for_whom(boss: Boss) -> None:
    boss.answers = [TAKEN, TAKEN, FREE]
    said: list[str] = []
    with lock(said, wait=True):
        pass
    assert len(said) == 1
    assert said[0].startswith("waiting for 2-b ben@laptop")


def test_two_of_one_workstation_are_kept_apart_without_an_orchestrator(boss: Boss) -> None:
    boss.answers = [OFF]
    said: list[str] = []
    with lock(said):
        assert "only runs from this workstation are kept apart" in said[0]
        with pytest.raises(LockedError, match="on this workstation"):
            lock([]).__enter__()
    assert len(boss.asked) == 1, "there was nothing to let go of"


def test_it_is_renewed_now_and_then(boss: Boss, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    clock: Any = type("clock", (), {"monotonic": lambda: now[0], "sleep": lambda s: None})
    monkeypatch.setattr(fleetlock, "time", clock)
    with lock([]) as held:
        for _ in range(5):
            held.renew()
        assert len(boss.asked) == 1
        now[0] += fleetlock.RENEW_S + 1
        held.renew()
        assert len(boss.asked) == 2
