"""How a plan becomes commands under pyinfra: real pyinfra state, hosts that only pretend."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import Config, Host, Inventory, State
from pyinfra.api.command import FunctionCommand, PyinfraCommand, StringCommand
from pyinfra.api.connect import connect_all
from pyinfra.api.operation import add_op
from pyinfra.api.operations import run_ops
from pyinfra.api.state import StateStage
from pyinfra.context import ctx_config, ctx_host, ctx_state

import facts.looking
from facts.look import Look
from fleet.problems import FleetError
from fleet.resources import Artifact, Build, File, Guard, Manager, Resources
from operations import artifacts, change, files, guard, undo
from operations.change import Change, HostContext, carry_out
from operations.records import RECORDS
from tests.unit.conftest import FakeHost, StandingOrder

FILE = File("/etc/a", b"x\n", "cap/a.j2")
WANT = Resources(files=(FILE,))
ORDER = StandingOrder(FakeHost().context("cap", WANT), WANT)
BAD, GOOD = "@fake/bad", "@fake/good"


class Fleet:
    """Two pretending hosts; each is looked at by what the test told of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: dict[str, Look | Exception] = {}
        self.looks: list[str] = []
        quick = {"fake_delay": 0}
        inventory = Inventory(([(BAD, quick), (GOOD, quick)], {}))
        self.state = State(inventory, Config())
        monkeypatch.setattr(change, "look", self._look)
        monkeypatch.setattr(change, "_told", set())
        facts.looking._remembered.clear()

    def _look(self, host: Host, asked: object) -> Look:
        self.looks.append(host.name)
        told = self.told[host.name]
        if isinstance(told, Exception):
            raise told
        return told

    @property
    def good(self) -> Host:
        host = self.state.inventory.get_host(GOOD)
        assert host
        return host

    def run(self) -> set[str]:
        """Run everything and return the names of the hosts that failed."""
        self.state.set_stage(StateStage.Execute)
        run_ops(self.state)
        return {host.name for host in self.state.failed_hosts}


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    it = Fleet(monkeypatch)
    with ExitStack() as stack:
        stack.enter_context(ctx_state.use(it.state))
        stack.enter_context(ctx_config.use(it.state.config))
        connect_all(it.state)
        yield it


@pytest.fixture
def on_good(fleet: Fleet) -> Iterator[Fleet]:
    """The fleet, inside an operation on its good host."""
    with ctx_host.use(fleet.good):
        yield fleet


def commands(plan: Change | Exception | None, **more: Any) -> list[PyinfraCommand]:
    def planned(want: Resources, context: HostContext, look: Look) -> Change | None:
        if isinstance(plan, Exception):
            raise plan
        return plan

    return list(carry_out("files", ORDER, planned, **more))


def executing(fleet: Fleet) -> None:
    fleet.state.set_stage(StateStage.Execute)
    fleet.state.is_executing = True


def test_a_plan_that_raises_fails_its_host_alone(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.told = {
        GOOD: FakeHost().lacks(FILE.path).look,
        BAD: ValueError("the look ended early"),
    }
    fleet.state.set_stage(StateStage.Prepare)
    with caplog.at_level(logging.INFO, logger="pyinfra"):
        metas = add_op(fleet.state, files.ensure, order=ORDER, name="cap: files")
        assert fleet.run() == {BAD}
    assert metas[fleet.good].did_change()
    assert "cap: files: the look ended early" in caplog.text


def test_an_unexpected_exception_names_its_type(on_good: Fleet, caplog: Any) -> None:
    on_good.told[GOOD] = Look()
    with caplog.at_level(logging.WARNING, logger="pyinfra"):
        (command,) = commands(KeyError("oops"))
    assert isinstance(command, FunctionCommand)
    assert "cap: files: KeyError: 'oops'" in caplog.text, "a dry run says it too"


def test_nothing_differs_nothing_is_yielded(on_good: Fleet) -> None:
    on_good.told[GOOD] = Look()
    assert commands(None) == []


def test_what_only_waits_is_told_and_not_run(on_good: Fleet, caplog: Any) -> None:
    on_good.told[GOOD] = Look()
    with caplog.at_level(logging.INFO, logger="pyinfra"):
        assert commands(Change((), "", pending=("restart pending",))) == []
    assert "cap: restart pending" in caplog.text


def test_preparing_remembers_the_look_and_executing_forgets_it(on_good: Fleet) -> None:
    on_good.told[GOOD] = Look()
    remembered = facts.looking._remembered
    remembered[GOOD] = ((), Look())
    (command,) = commands(Change(("a change",), "true"))
    assert isinstance(command, StringCommand)
    assert GOOD in remembered
    executing(on_good)
    commands(None)
    commands(Change((), "", pending=("later",)))
    assert GOOD in remembered, "nothing was changed"
    commands(Change(("a change",), "true"))
    assert GOOD not in remembered


def test_a_change_is_told_once_though_planned_twice(on_good: Fleet, caplog: Any) -> None:
    on_good.told[GOOD] = Look()
    on_good.state.config.DIFF = True
    with caplog.at_level(logging.INFO, logger="pyinfra"):
        for _ in (1, 2):
            commands(Change(("a change",), "true", diffs=("+new",)))
    assert caplog.text.count("cap: a change") == 1
    assert caplog.text.count("+new") == 1


def test_diffs_are_only_shown_when_wanted(on_good: Fleet, caplog: Any) -> None:
    on_good.told[GOOD] = Look()
    with caplog.at_level(logging.INFO, logger="pyinfra"):
        commands(Change(("a change",), "true", diffs=("+new",)))
    assert "+new" not in caplog.text


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_records_are_json_lines(
    on_good: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "records"
    monkeypatch.setenv(RECORDS, str(path))
    on_good.told[GOOD] = Look()
    commands(Change(("one", "zwei → ü\n"), "true", diffs=("+secretish",), pending=("later",)))
    executing(on_good)
    commands(Change(("one",), "true"))
    commands(None)
    first, second = records(path)
    assert first.pop("time") <= second.pop("time")
    assert first == {
        "event": "change",
        "host": GOOD,
        "capability": "cap",
        "operation": "files",
        "phase": "plan",
        "changes": ["one", "zwei → ü\n"],
        "pending": ["later"],
        "diffs": [],
    }
    assert second["phase"] == "apply"
    assert "secretish" not in path.read_text()


def test_records_that_cannot_be_written_fail_the_host_and_no_more(
    on_good: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RECORDS, str(tmp_path / "no" / "such"))
    on_good.told[GOOD] = Look()
    (command,) = commands(Change(("one",), "true"))
    assert isinstance(command, FunctionCommand)


def test_the_script_travels_on_standard_input(on_good: Fleet) -> None:
    on_good.told[GOOD] = FakeHost().lacks(FILE.path).look
    (command,) = files.ensure._inner(ORDER)
    assert isinstance(command, StringCommand)
    assert command.get_raw_value() == "sh -s"
    assert "manifests/cap.json" in str(command.connector_arguments["_stdin"])


SOURCE = Artifact("src", "1.0", "/a/src", "0" * 64, 2_500_000)
BUILD = Build("prog", "1.0-1", "/b/build", "/opt/stamp", SOURCE, Manager.PACMAN)


class NoDepot:
    """A depot that nobody may ask."""

    def mirrors(self, host: str) -> tuple[str, ...]:
        raise AssertionError("a plan fetches nothing")

    def obtain(self, artifact: Artifact) -> Path:
        raise AssertionError("a plan fetches nothing")


def fetch() -> list[PyinfraCommand]:
    want = Resources(builds=(BUILD,))
    order = StandingOrder(FakeHost().context("cap", want), want)
    return list(artifacts.ensure._inner(order, NoDepot()))


def test_a_source_travels_only_when_it_is_missing_and_has_to_be_built(
    on_good: Fleet, caplog: Any
) -> None:
    host = FakeHost(manager=Manager.PACMAN).lacks("/opt/stamp", "/a/src")
    on_good.told[GOOD] = host.look
    with caplog.at_level(logging.INFO, logger="pyinfra"):
        (check,) = fetch()
    assert isinstance(check, StringCommand)
    assert "cap: artifact src 1.0: fetch (2.5 MB)" in caplog.text
    executing(on_good)
    lock, bring, check = fetch()
    assert "hold_lock" in str(lock.connector_arguments["_stdin"])
    assert isinstance(bring, FunctionCommand)
    assert "src did not come" in str(check.connector_arguments["_stdin"])
    on_good.told[GOOD] = host.has_file("/a/src", size=SOURCE.size, mtime=artifacts.SEAL).look
    assert fetch() == []
    built = FakeHost(manager=Manager.PACMAN).has_file("/opt/stamp", b"1.0-1\n").lacks("/a/src")
    on_good.told[GOOD] = built.look
    assert fetch() == [], "what is built needs its source no more"


def test_what_hinders_a_capability_is_told_and_nothing_is_planned(
    on_good: Fleet, caplog: Any
) -> None:
    on_good.told[GOOD] = FakeHost().lacks(FILE.path).look
    order = StandingOrder(FakeHost().context("cap", WANT), WANT, "no tailnet here")
    with caplog.at_level(logging.WARNING, logger="pyinfra"):
        assert list(files.ensure._inner(order)) == []
    assert "cap skipped: no tailnet here" in caplog.text


def test_an_order_that_cannot_be_had_fails_its_host_alone(on_good: Fleet, caplog: Any) -> None:
    class Broken(StandingOrder):
        def context(self) -> HostContext:
            raise FleetError.of("fleet.yaml", "no such secret", "set it")

    with caplog.at_level(logging.WARNING, logger="pyinfra"):
        (command,) = files.ensure._inner(Broken(ORDER.said, WANT))
    assert isinstance(command, FunctionCommand)
    assert "no such secret" in caplog.text


GUARDED = Resources(guard=Guard((FILE.path,), ":"), files=(FILE,))


def test_a_change_that_was_taken_back_meanwhile_is_a_failure(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that its own change cut off goes on when the host has undone it: nothing to confirm."""
    context = FakeHost().context("cap", GUARDED)
    order = StandingOrder(context, GUARDED)
    mark = undo.armed_path(context)
    before = FakeHost().lacks(FILE.path, mark).look
    armed = FakeHost().lacks(FILE.path).has_file(mark).look
    fleet.told |= dict.fromkeys((BAD, GOOD), before)
    monkeypatch.setattr(guard, "guarded", set())
    monkeypatch.setattr(guard, "look", lambda host, asked: before if host.name == BAD else armed)
    add_op(fleet.state, guard.arm, order=order, name="arm")
    add_op(fleet.state, guard.release, order=order, confirm=lambda name, script: "", name="release")
    assert fleet.run() == {BAD}


def test_where_nothing_was_armed_nothing_has_to_be_confirmed(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = FakeHost().context("cap", GUARDED)
    seen = FakeHost().lacks(FILE.path, undo.armed_path(context)).look
    monkeypatch.setattr(guard, "guarded", set())
    monkeypatch.setattr(guard, "look", lambda host, asked: seen)
    order = StandingOrder(context, GUARDED)
    add_op(fleet.state, guard.release, order=order, confirm=lambda name, script: "no", name="r")
    assert fleet.run() == set()
