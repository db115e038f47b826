"""`fleet upgrade` of pinned downloads: what is taken, what a no leaves behind, and the way back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fleet import cli
from fleet.apply import Applied, Ending, Result
from fleet.commands import apply, repinning, upgrade
from fleet.lock import read_artifacts_lock
from fleet.planned import Planned, gather
from fleet.problems import FleetError
from fleet.target import Target, load_target
from fleet.upstream import Row
from tests.unit.fleet.test_planned import change, connected
from tests.unit.sources import Npm

Capture = pytest.CaptureFixture[str]
OLD, NEW = b"old bytes", b"new bytes"
TOOLS = ("tool", "other")


class Runs:
    """What the runs find and do, instead of pyinfra."""

    def __init__(self) -> None:
        self.versions: list[dict[str, str]] = []  # of the pins, at each look
        self.ends: dict[str, Result] = {}
        self.broken: tuple[str, ...] = ()
        self.carried_out: list[str] = []
        self.locked = ""

    def plan_of(self, target: Target, *_: Any) -> Planned:
        pins = target.artifacts.artifacts
        self.versions.append({name: one.version for name, one in pins.items()})
        events: list[Mapping[str, Any]] = [*connected("boss", "berry"), change("berry", "tool")]
        return Planned("small", "t", gather(target, ("boss", "berry"), events, "plan"))

    def carry_out(self, *_: Any) -> Applied:
        self.carried_out.append("once")
        found = {"berry": Result("berry", Ending.CHANGED, ("tool",))}
        return Applied(found | self.ends, self.broken)

    def __call__(self, *_: Any, **__: Any) -> Runs:
        return self

    def __enter__(self) -> Runs:
        if self.locked:
            raise FleetError.of("the fleet", self.locked, "")
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""


@pytest.fixture
def runs(fleet_file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    found = Runs()
    monkeypatch.setattr("fleet.target.ROOT", fleet_file.parent)
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    monkeypatch.setenv("XDG_STATE_HOME", str(fleet_file.parent / "state"))
    monkeypatch.setattr(upgrade, "FleetLock", found)
    monkeypatch.setattr(upgrade, "plan_of", found.plan_of)
    monkeypatch.setattr(upgrade, "carry_out", found.carry_out)
    return found


@pytest.fixture
def lock(runs: Runs, npm: Npm, fleet_file: Path) -> Path:
    """Two downloads, of which the first has a newer version."""
    for name in TOOLS:
        npm.publish(f"{name}@1.0.0", OLD)
        assert cli.main(["pin", name, "1.0.0", "--source", f"npm=npm:{name}"]) == 0
    npm.publish("tool@1.1.0", NEW)
    npm.tell("tool", {"version": "1.1.0"})
    npm.tell("other", {"version": "1.0.0"})
    return fleet_file.parent / "artifacts.lock.yaml"


def versions(lock: Path) -> dict[str, str]:
    return {name: one.version for name, one in read_artifacts_lock(lock).artifacts.items()}


def test_what_is_newer_is_pinned_and_applied(runs: Runs, lock: Path, capsys: Capture) -> None:
    assert cli.main(["upgrade", "--yes"]) == 0
    assert "tool: 1.0.0 → 1.1.0" in capsys.readouterr().out
    assert runs.versions == [{"tool": "1.1.0", "other": "1.0.0"}], "planned with the new pin"
    assert len(runs.carried_out) == 1
    assert versions(lock) == {"tool": "1.1.0", "other": "1.0.0"}
    assert cli.main(["upgrade", "--yes"]) == 0
    assert "no newer version" in capsys.readouterr().out
    assert len(runs.carried_out) == 1, "a second one has nothing to do"


@pytest.mark.parametrize("words", [("--dry-run",), ("--dry-run", "--json")])
def test_a_dry_run_shows_and_leaves_everything(
    runs: Runs, lock: Path, words: tuple[str, ...], capsys: Capture
) -> None:
    before = lock.read_bytes()
    capsys.readouterr()
    assert cli.main(["upgrade", "tool", *words]) == 2
    said = capsys.readouterr()
    assert lock.read_bytes() == before
    assert runs.versions[0]["tool"] == "1.1.0"
    assert not runs.carried_out
    if "--json" in words:
        found = json.loads(said.out)
        assert found["pins"] == [{"name": "tool", "old": "1.0.0", "new": "1.1.0"}]
        assert found["exit"] == 2


def test_who_says_no_has_what_was_before(
    runs: Runs, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lock.read_bytes()
    monkeypatch.setattr(upgrade, "agreed", lambda *_, **__: False)
    assert cli.main(["upgrade"]) == 130
    assert lock.read_bytes() == before
    monkeypatch.setattr(upgrade, "agreed", apply.agreed)
    assert cli.main(["upgrade"]) == 64, "nobody is there"
    runs.locked = "is locked"
    assert cli.main(["upgrade", "--yes"]) == 1
    assert lock.read_bytes() == before
    assert not runs.carried_out


def test_all_are_taken_or_none(runs: Runs, npm: Npm, lock: Path, capsys: Capture) -> None:
    before = lock.read_bytes()
    publish_again(npm, "other", "1.2.0")  # said to be there, and is not
    assert cli.main(["upgrade", "--yes"]) == 1
    assert lock.read_bytes() == before
    assert not runs.versions, "no host was looked at"
    assert "other 1.2.0" in capsys.readouterr().err


def publish_again(npm: Npm, name: str, version: str) -> None:
    (npm.folder / name / "integrity").write_text(json.dumps({"version": version}))


@pytest.mark.parametrize("in_git", [True, False])
def test_a_canary_that_fails_comes_with_the_way_back(
    runs: Runs, lock: Path, capsys: Capture, in_git: bool
) -> None:
    if in_git:
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
        for words in (["init", "-q"], ["add", lock.name], ["commit", "-q", "-m", "x"]):
            subprocess.run([*git, *words], cwd=lock.parent, check=True)
    runs.ends["berry"] = Result("berry", Ending.FAILED, ("tool",), error="does not stay up")
    runs.broken = ("berry: does not stay up",)
    assert cli.main(["upgrade", "--yes"]) == 1
    assert versions(lock)["tool"] == "1.1.0", "the canary has it"
    said = capsys.readouterr().err
    back = f"git checkout {lock.name}" if in_git else "fleet pin tool 1.0.0"
    assert f"to go back to the versions before: {back}; fleet apply" in said


def test_a_lock_that_somebody_else_writes_meanwhile_is_left_alone(
    runs: Runs, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(*_: Any, **__: Any) -> bool:
        lock.write_text(lock.read_text() + "# somebody's\n")
        return False

    monkeypatch.setattr(upgrade, "agreed", written)
    assert cli.main(["upgrade"]) == 130
    assert lock.read_text().endswith("# somebody's\n")


def test_only_these(runs: Runs, npm: Npm, lock: Path, capsys: Capture) -> None:
    npm.publish("other@1.2.0", NEW)
    publish_again(npm, "other", "1.2.0")
    assert cli.main(["upgrade", "other", "--yes"]) == 0
    assert versions(lock) == {"tool": "1.0.0", "other": "1.2.0"}
    assert cli.main(["upgrade", "tol"]) == 64
    assert 'did you mean "tool"?' in capsys.readouterr().err
    assert cli.main(["upgrade", "tool", "--os"]) == 64
    assert cli.main(["upgrade", "--json"]) == 64


def test_a_source_that_cannot_be_asked_is_said_and_the_others_go_on(
    runs: Runs, npm: Npm, lock: Path, capsys: Capture
) -> None:
    (npm.folder / "other" / "integrity").write_text("")
    assert cli.main(["upgrade", "--yes"]) == 1
    assert "other at npm: npm says" in capsys.readouterr().err
    assert versions(lock)["tool"] == "1.1.0"


@pytest.mark.parametrize(("new", "taken"), [("20.1.8", False), ("16.0.9", True)])
def test_a_compiler_of_another_major_is_not_taken(
    runs: Runs, npm: Npm, fleet_file: Path, new: str, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet_file.write_text(fleet_file.read_text() + "toolchain: {llvm: 16}\n")
    npm.publish("llvm@16.0.6", OLD)
    assert cli.main(["pin", "llvm", "16.0.6", "--source", "npm=npm:llvm"]) == 0
    row = Row("llvm", "16.0.6", "npm", new, None, new)
    monkeypatch.setattr(repinning, "rows", lambda lock: (row,))
    found = repinning.news(load_target(), ())
    assert [step.new for step in found.steps] == ([new] if taken else [])
    assert any("another major" in remark for remark in found.remarks) is not taken


def test_systems_are_upgraded_as_before(runs: Runs, lock: Path, capsys: Capture) -> None:
    before = lock.read_bytes()
    assert cli.main(["upgrade", "--os", "--dry-run"]) == 2
    assert not runs.carried_out
    assert cli.main(["upgrade", "--os", "--yes"]) == 0
    assert len(runs.carried_out) == 1
    assert lock.read_bytes() == before
    assert "the versions before" not in capsys.readouterr().err
