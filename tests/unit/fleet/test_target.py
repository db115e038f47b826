"""Which fleet a command works on."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from fleet import target
from fleet.lock import ArtifactsLock
from fleet.model import Fleet
from fleet.problems import FleetError, WrongUsageError
from fleet.target import load_target
from lab.overlay import Overlay


@pytest.fixture(autouse=True)
def _environment(fleet_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))


def test_the_real_fleet_is_the_default() -> None:
    found = load_target()
    assert (found.name, found.fleet.name, found.known_hosts) == ("real", "small", None)
    assert found.artifacts.get("icecream-source", "any").version == "1.4"
    assert (found.root / "fleet.yaml").is_file()


def test_without_fleet_file_it_is_the_repositorys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEET_FILE")
    assert target.fleet_file() == target.ROOT / "fleet.yaml"


def test_the_lab_replaces_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overlay(fleet: Fleet) -> Overlay:
        played = fleet.model_copy(update={"name": "lab"})
        return Overlay(played, tmp_path / "known_hosts", tmp_path / "lock", ArtifactsLock())

    module = ModuleType("lab.overlay")
    module.overlay = overlay  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lab.overlay", module)
    monkeypatch.setenv("FLEET_TARGET", "lab")
    found = load_target()
    assert (found.name, found.fleet.name) == ("lab", "lab")
    assert found.artifacts == ArtifactsLock()
    assert (found.known_hosts, found.lock_file) == (tmp_path / "known_hosts", tmp_path / "lock")
    assert load_target("real").fleet.name == "small"


def test_no_lab_to_point_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lab.overlay", None)
    with pytest.raises(FleetError, match="this installation has no lab"):
        load_target("lab")


def test_an_unknown_target_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_TARGET", "lap")
    with pytest.raises(WrongUsageError, match='"lap" is no target\n    did you mean "lab"'):
        load_target()


def test_problems_of_all_files_at_once(
    fleet_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet_file.write_text("hosts: {}")
    (tmp_path / "pins.yaml").write_text("version: 3")
    monkeypatch.setattr(target, "artifacts_file", lambda: tmp_path / "pins.yaml")
    with pytest.raises(FleetError) as caught:
        load_target()
    assert {problem.file for problem in caught.value.problems} == {"fleet.yaml", "pins.yaml"}
