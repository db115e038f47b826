"""A small valid fleet, and a way to break it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.model import load_fleet
from fleet.problems import FleetError, Problem

SMALL = """\
version: 1
name: small
ssh: {user: admin}
budgets: {orchestrator: 20, headless-mac: 10, pi: 5, windows-wsl: 5}
hosts:
  boss: {role: orchestrator, os: arch, arch: x86_64, cores: 8, addresses: {lan: 10.0.0.1}}
  mac: {role: headless-mac, os: macos, arch: x86_64, cores: 4, addresses: {lan: 10.0.0.2}}
  berry: {role: pi, os: raspios, arch: aarch64, cores: 4, addresses: {lan: 10.0.0.3}}
  win: {role: windows-wsl, os: debian, arch: x86_64, cores: 8, addresses: {lan: 10.0.0.4}}
"""

Problems = Callable[..., tuple[Problem, ...]]


@pytest.fixture
def small() -> str:
    return SMALL


@pytest.fixture
def fleet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small fleet as fleet.yaml in a directory of its own, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLEET_TARGET", raising=False)
    path = tmp_path / "fleet.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def problems(fleet_file: Path) -> Problems:
    """Replace text of the small fleet (each pair) and return what is wrong with the result."""

    def run(*pairs: tuple[str, str]) -> tuple[Problem, ...]:
        text = SMALL
        for old, new in pairs:
            assert old in text, f"{old!r} is not in the small fleet"
            text = text.replace(old, new, 1)
        fleet_file.write_text(text)
        try:
            load_fleet(fleet_file)
        except FleetError as error:
            return error.problems
        return ()

    return run
