"""A small valid fleet, a way to break it, and places that downloads come from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleet.model import load_fleet
from fleet.problems import FleetError, Problem
from tests.unit.sources import Apt, Npm, Web, certificate, install_apt, install_npm, serving

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


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this machine's own downloads; absent at first."""
    path = tmp_path / "cache"
    monkeypatch.setenv("AGENTFLEET_CACHE", str(path))
    return path


@pytest.fixture(scope="session")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def web(certified: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """An HTTPS server on loopback that this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certified))
    monkeypatch.setenv("no_proxy", "*")
    with serving(certified) as server:
        yield server


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose programs win over the machine's."""
    path = tmp_path / "programs"
    path.mkdir()
    monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
    return path


@pytest.fixture
def npm(programs: Path, tmp_path: Path) -> Npm:
    return install_npm(programs, tmp_path / "npm-registry")


@pytest.fixture
def apt(programs: Path, tmp_path: Path) -> Apt:
    return install_apt(programs, tmp_path / "apt-archive")


@pytest.fixture
def on_this_machine(programs: Path, cache: Path, fleet_file: Path) -> Path:
    """Every host of the small fleet is this machine: `ssh` and `sudo` run what they are given.

    The folder whose programs play the hosts'. What ssh was told is in `asked`, a call a line.
    """
    body = """echo "$*" >>{asked}
until [ "${{1#*@}}" != "$1" ]; do shift; done
shift
[ "$1" != -- ] || shift
exec sh -c "$*" """
    put(programs, "ssh", body.format(asked=programs / "asked"))
    put(programs, "sudo", 'while [ "${1#-}" != "$1" ]; do shift; done\nexec "$@"')
    return programs


def put(folder: Path, name: str, body: str) -> None:
    """Make a program of that name, in sh."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
