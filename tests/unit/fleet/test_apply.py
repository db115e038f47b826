"""The waves of an apply, with a pyinfra that only tells what a test wants it to have done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fleet import apply as applying
from fleet.apply import Applied, Applier, Ending, Result
from fleet.exits import Exit
from fleet.planned import Planned, gather
from fleet.problems import FleetError
from fleet.runner import Event, Outcome
from fleet.target import Target
from fleet.waves import Wave
from tests.golden import target
from tests.unit.fleet.test_planned import change, connected, unreached

HOSTS = tuple(host.name for host in target().fleet.hosts)


class FakeRunner:
    """Hosts do what `does` says, and what a later look finds is `finds`."""

    def __init__(self, lock: Path) -> None:
        from dataclasses import replace

        self.target: Target = replace(target(), lock_file=lock)
        self.does: dict[str, list[dict[str, Any]]] = {}
        self.finds: list[list[dict[str, Any]]] = []
        self.learns: dict[str, str] = {}
        self.stops_at = ""
        self.breaks_at = ""
        self.changed: list[tuple[str, ...]] = []

    def look(self, names: Sequence[str], heard: Callable[[Event], None]) -> Outcome:
        events = [*connected(*names), *(self.finds.pop(0) if self.finds else [])]
        return Outcome(tuple(events), 0)

    def change(self, names: Sequence[str], heard: Callable[[Event], None]) -> Outcome:
        self.changed.append(tuple(names))
        if self.breaks_at in names:
            raise FleetError.of("pyinfra", "pyinfra ended with 7", "its last words are in a file")
        events: list[Mapping[str, Any]] = []
        for name in names:
            events += self.does.get(name, [*connected(name), did(name)])
            if name in self.learns:
                self.target.lock_file.write_text(self.learns[name])
        return Outcome(tuple(events), 0, stopped=self.stops_at in names)


def did(host: str, *lines: str) -> dict[str, Any]:
    return change(host, *(lines or ("a file",)), phase="apply")


def failed(host: str, text: str) -> list[dict[str, Any]]:
    return [*connected(host), {"event": "failed", "host": host, "text": text}]


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRunner:
    monkeypatch.setattr(applying, "ailing", lambda target, names: {})
    return FakeRunner(tmp_path / "fleet.lock.yaml")


def run(runner: FakeRunner, events: Iterable[Mapping[str, Any]] = ()) -> Applied:
    """Plan a change on every host, but for those of which `events` say otherwise."""
    said = list(events)
    other = {event["host"] for event in said}
    for name in HOSTS:
        if name not in other:
            said += [*connected(name), change(name, "a file")]
    plan = Planned("home", "t", gather(runner.target, HOSTS, said, "plan"))
    turns: list[Wave] = []
    any_runner: Any = runner
    return Applier(lambda: runner.target, any_runner, lambda event: None, turns.append).apply(plan)


def test_wave_after_wave(runner: FakeRunner) -> None:
    done = run(runner)
    assert runner.changed == [
        ("arch-orchestrator",),
        ("macbook1", "macbook2", "rpi1", "windows-desktop"),
        ("imac", "rpi2", "rpi3", "windows-laptop"),
    ]
    assert {one.ending for one in done.results.values()} == {Ending.CHANGED}
    assert done.exit is Exit.DONE


def test_hosts_without_a_change_are_left_alone(runner: FakeRunner) -> None:
    done = run(runner, [*connected(*HOSTS), change("rpi2", "x")])
    assert runner.changed == [("rpi2",)]
    assert done.results["rpi1"].ending is Ending.CLEAN


def test_a_canary_that_fails_is_the_last(runner: FakeRunner) -> None:
    runner.does["rpi1"] = [*connected("rpi1"), did("rpi1"), *failed("rpi1", "does not stay up")]
    done = run(runner)
    assert len(runner.changed) == 2
    assert done.results["rpi1"].ending is Ending.FAILED
    assert done.results["macbook1"].ending is Ending.CHANGED
    assert [n for n, one in done.results.items() if one.ending is Ending.UNTOUCHED] == [
        "imac", "rpi2", "rpi3", "windows-laptop",
    ]  # fmt: skip
    assert done.broken == ("rpi1: does not stay up",)
    assert done.exit is Exit.ERROR


def test_a_host_that_is_ill_afterwards_is_the_last(
    runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        applying,
        "ailing",
        lambda target, names: {"imac": "iceccd is down"} if "imac" in names else {},
    )
    done = run(runner)
    assert done.results["imac"] == Result(
        "imac", Ending.FAILED, changes=("a file",), error="iceccd is down"
    )
    assert done.exit is Exit.ERROR


def test_the_orchestrator_being_off_holds_nobody_up(runner: FakeRunner) -> None:
    done = run(runner, [unreached("arch-orchestrator", silent=True)])
    assert len(runner.changed) == 2
    assert done.results["arch-orchestrator"].ending is Ending.DOWN
    assert done.exit is Exit.ERROR


def test_a_laptop_that_falls_asleep_meanwhile_is_pending(runner: FakeRunner) -> None:
    runner.does["macbook2"] = [unreached("macbook2", silent=True)]
    done = run(runner)
    assert done.results["macbook2"].ending is Ending.ASLEEP
    assert done.results["rpi3"].ending is Ending.CHANGED
    assert done.exit is Exit.OFF


def test_a_locked_host_is_left_to_the_other_run(runner: FakeRunner) -> None:
    runner.does["rpi1"] = failed(
        "rpi1", "agentfleet: locked by another run: 1-a anna@desk since now: pyinfra"
    )
    done = run(runner)
    assert done.results["rpi1"].ending is Ending.LOCKED
    assert done.results["rpi3"].ending is Ending.CHANGED
    assert done.exit is Exit.LOCKED


def test_what_waits_is_an_exit_of_its_own(runner: FakeRunner) -> None:
    runner.does["rpi1"] = [
        *connected("rpi1"), did("rpi1"), change("rpi1", phase="apply", pending=["restart"]),
    ]  # fmt: skip
    done = run(runner)
    assert done.results["rpi1"].ending is Ending.PENDING
    assert done.exit is Exit.CHANGES


def test_an_interrupt_ends_it_after_the_wave(runner: FakeRunner) -> None:
    runner.stops_at = "rpi1"
    runner.does["rpi1"] = failed("rpi1", "stopped before icecream: files")
    done = run(runner)
    assert done.results["rpi1"].ending is Ending.STOPPED
    assert done.results["rpi2"].ending is Ending.UNTOUCHED
    assert done.stopped
    assert done.exit is Exit.INTERRUPTED


def test_what_was_learned_changes_others_once_more(runner: FakeRunner) -> None:
    runner.learns["rpi1"] = "rpi1 has an address"
    runner.finds = [[change("arch-orchestrator", "its wall")]]
    runner.does["arch-orchestrator"] = [
        *connected("arch-orchestrator"), did("arch-orchestrator", "its wall"),
    ]  # fmt: skip
    done = run(runner, [*connected(*HOSTS), change("rpi1", "join")])
    assert runner.changed == [("rpi1",), ("arch-orchestrator",)]
    assert done.results["arch-orchestrator"].changes == ("its wall",)
    assert done.exit is Exit.DONE


def test_a_pyinfra_that_breaks_is_the_last_and_what_was_done_is_told(runner: FakeRunner) -> None:
    runner.breaks_at = "rpi1"
    done = run(runner)
    assert done.results["arch-orchestrator"].ending is Ending.CHANGED
    assert done.results["rpi1"].ending is Ending.FAILED
    assert "its last words" in done.results["rpi1"].error
    assert done.results["rpi2"].ending is Ending.UNTOUCHED
    assert done.exit is Exit.ERROR


def test_an_interrupt_between_two_waves_tells_what_was_done(
    runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(target: Target, names: Sequence[str]) -> dict[str, str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(applying, "ailing", interrupted)
    done = run(runner)
    assert runner.changed == [("arch-orchestrator",)]
    assert done.results["arch-orchestrator"].ending is Ending.CHANGED
    assert done.results["rpi1"].ending is Ending.UNTOUCHED
    assert done.exit is Exit.INTERRUPTED


def test_a_host_that_fails_when_it_is_looked_at_again_is_told(runner: FakeRunner) -> None:
    runner.learns["rpi1"] = "rpi1 has an address"
    runner.finds = [failed("imac", "its disk is full")]
    done = run(runner, [*connected(*HOSTS), change("rpi1", "join")])
    assert done.results["imac"].error == "its disk is full"
    assert done.exit is Exit.ERROR


def test_words_of_others_about_locks_are_no_lock_of_ours(runner: FakeRunner) -> None:
    runner.does["rpi1"] = failed("rpi1", "Error: database is locked: /var/lib/x.sqlite")
    done = run(runner)
    assert done.results["rpi1"].ending is Ending.FAILED
    assert done.results["rpi2"].ending is Ending.UNTOUCHED


def test_nothing_to_do_is_nothing_done(runner: FakeRunner) -> None:
    done = run(runner, connected(*HOSTS))
    assert runner.changed == []
    assert done.exit is Exit.DONE
