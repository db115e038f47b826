"""Two hosts for tests: one that is told, one that is real: a directory on this machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from facts.look import Look
from facts.manifests import Entry, Manifest, ManifestsProbe
from facts.paths import Kind, PathsProbe, PathState
from facts.probe import compose, split
from facts.services import ServiceState
from facts.system import System
from facts.tailnet import Tailnet
from fleet.resources import Directory, File, Manager, Resources
from operations import files, leftovers
from operations.change import Change, HostContext, wrap
from operations.manifest import names

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="runs a Linux host's script on this machine"
)
SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"]}  # Linux's sh, and a Mac's
Run = subprocess.CompletedProcess[str]


class _Told(dict[str, str]):
    """Packages: what the test has not spoken of may not be asked for."""

    def __init__(self, spoken_of: set[str], there: Mapping[str, str]) -> None:
        super().__init__(there)
        self.spoken_of = spoken_of

    def __contains__(self, name: object) -> bool:
        _spoken_of(name, self.spoken_of)
        return super().__contains__(name)


class _ToldNames(frozenset[str]):
    """Users: the same."""

    spoken_of: set[str]

    def __contains__(self, name: object) -> bool:
        _spoken_of(name, self.spoken_of)
        return super().__contains__(name)


def _spoken_of(name: object, known: set[str]) -> None:
    if name not in known:
        raise LookupError(f"the test did not say whether the host has {name}")


class FakeHost:
    """A host as the test tells it. What nobody told raises LookupError when it is asked for."""

    def __init__(self, *, mac: bool = False, manager: Manager | None = None) -> None:
        self.mac = mac
        self.state_dir = "/var/db/agentfleet" if mac else "/var/lib/agentfleet"
        self.manager = manager
        self.container = ""
        self.paths: dict[str, PathState | None] = {}
        self.services: dict[str, ServiceState] = {}
        self.values: dict[str, str] = {}
        self.packages: dict[str, str | None] = {}
        self.users: dict[str, bool] = {}
        self.manifests: dict[str, Manifest] = {}
        self.tailnet = Tailnet()

    def lacks(self, *paths: str) -> FakeHost:
        self.paths |= dict.fromkeys(paths)
        return self

    def has_file(self, path: str, content: bytes = b"", **differing: Any) -> FakeHost:
        """A file with this content; `shown` says that the look brought it along."""
        facts: dict[str, Any] = {
            "kind": Kind.FILE,
            "mode": "0644",
            "owner": "root",
            "group": "wheel" if self.mac else "root",
            "uid": "0",
            "gid": "0",
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        self.paths[path] = PathState(**facts | differing)
        return self

    def has(self, *resources: File | Directory) -> FakeHost:
        """Exactly what is wanted."""
        for it in resources:
            access: dict[str, Any] = {"mode": it.mode, "owner": it.owner, "group": it.group}
            if isinstance(it, File):
                self.has_file(it.path, it.content, **access)
            else:
                self.has_file(it.path, kind=Kind.DIRECTORY, sha256="", **access)
        return self

    def service(self, name: str, **state: Any) -> FakeHost:
        self.services[name] = ServiceState(**state)
        return self

    def value(self, name: str, value: str) -> FakeHost:
        self.values[name] = value
        return self

    def installed(self, *packages: str) -> FakeHost:
        self.packages |= dict.fromkeys(packages, "1.0")
        return self

    def not_installed(self, *packages: str) -> FakeHost:
        self.packages |= dict.fromkeys(packages)
        return self

    def user(self, name: str, *, there: bool) -> FakeHost:
        self.users[name] = there
        return self

    def in_tailnet(self, **state: Any) -> FakeHost:
        """A Tailscale that is up, unless `state` says otherwise."""
        up = {"program": "/usr/bin/tailscale", "state": "Running", "ipv4": "100.101.0.5"}
        self.tailnet = Tailnet(**up | state)
        return self

    def carries(self, capability: str, *entries: Entry) -> FakeHost:
        self.manifests[capability] = Manifest.of(capability, entries)
        return self

    @property
    def look(self) -> Look:
        users = _ToldNames(name for name, there in self.users.items() if there)
        users.spoken_of = set(self.users)
        there = {name: version for name, version in self.packages.items() if version}
        return Look(
            system=System(
                kernel="Darwin" if self.mac else "Linux",
                manager=self.manager,
                container=self.container,
            ),
            paths={path: state for path, state in self.paths.items() if state},
            asked_paths=frozenset(self.paths),
            services=self.services,
            values=self.values,
            packages=_Told(set(self.packages), there),
            users=users,
            manifests=self.manifests,
            tailnet=self.tailnet,
        )

    def context(self, capability: str = "cap", *elsewhere: Resources) -> HostContext:
        """The operations' context; `elsewhere` is what any capability wants on the host."""
        wanted = frozenset[tuple[str, str]]().union(*(names(want) for want in elsewhere))
        digests = {file.path: file.sha256 for want in elsewhere for file in want.files}
        return HostContext(capability, self.mac, self.state_dir, (), wanted, digests)


@dataclass(frozen=True)
class StandingOrder:
    """An order that always says the same (operations.change.Order)."""

    said: HostContext
    wants: Resources = field(default_factory=Resources)
    refusal: str = ""

    @property
    def capability(self) -> str:
        return self.said.capability

    def context(self) -> HostContext:
        return self.said

    def want(self) -> Resources:
        return self.wants

    def secret(self, name: str) -> str:
        raise AssertionError(f"nobody may ask for {name}")

    def hindrance(self, look: Look) -> str:
        return self.refusal


class RealHost:
    """A directory that plays a host: scripts really run, files belong to whoever runs the test."""

    def __init__(self, root: Path, shell: str) -> None:
        if sys.platform != "linux":
            pytest.skip("runs a Linux host's script on this machine")
        self.root, self.shell = root, SHELLS[shell]
        self.state_dir = root / "state"
        self.path = os.environ["PATH"]
        self.extra_paths: set[str] = set()

    def file(self, name: str, content: bytes, **differing: Any) -> File:
        owner = {"owner": str(os.getuid()), "group": str(os.getgid())}
        return File(str(self.root / name), content, "cap/it.j2", **owner | differing)

    def directory(self, name: str, mode: str = "0755") -> Directory:
        return Directory(str(self.root / name), mode, str(os.getuid()), str(os.getgid()))

    def context(self, want: Resources, capability: str = "cap") -> HostContext:
        return HostContext(capability, False, str(self.state_dir), (), names(want))

    def look(self, want: Resources) -> Look:
        """A real look at the files that are wanted."""
        paths = {*(f.path for f in want.files), *(d.path for d in want.directories)}
        digests = {file.path: file.sha256 for file in want.files if not file.secret}
        at_paths = PathsProbe(tuple(sorted(paths | self.extra_paths)), digests)
        at_manifests = ManifestsProbe(f"{self.state_dir}/manifests")
        run = self.sh(compose((at_paths, at_manifests)))
        assert run.returncode == 0, run.stderr
        said = split(run.stdout.splitlines())
        return Look(
            paths=at_paths.parse(said["paths"]),
            manifests=at_manifests.parse(said["manifests"]),
            asked_paths=frozenset(at_paths.paths),
        )

    def plan(self, want: Resources) -> Change | None:
        return files.plan(want, self.context(want), self.look(want))

    def bring(self, want: Resources) -> Run:
        """Plan and carry out, as one run of one capability does; there must be something to do."""
        change = self.plan(want)
        assert change
        return self.run(change)

    def retire(self) -> Run:
        """The host loses all its capabilities."""
        look = self.look(Resources())
        change = leftovers.plan(frozenset(), self.context(Resources()), look)
        assert change
        return self.run(change)

    def run(self, change: Change) -> Run:
        return self.sh(wrap(change.script))

    def sh(self, script: str, **more: Any) -> Run:
        return subprocess.run(
            [*self.shell, "-s"],
            input=script,
            text=True,
            capture_output=True,
            check=False,
            timeout=20,
            env={"PATH": self.path},
            **more,
        )

    def tree(self) -> dict[str, bytes | str]:
        """Every file and link below the root, without the state directory."""
        found: dict[str, bytes | str] = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if name.split("/")[0] in ("state", "bin"):
                continue
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}"
            elif path.is_file():
                found[name] = path.read_bytes()
        return found

    def litter(self) -> list[str]:
        """What a run may leave nowhere: staged files and directories."""
        return [str(p) for p in self.root.rglob("*") if "agentfleet-new" in p.name] + [
            str(p) for p in self.state_dir.glob("stage.*")
        ]


@pytest.fixture(params=sorted(SHELLS))
def real_host(request: pytest.FixtureRequest, tmp_path: Path) -> RealHost:
    return RealHost(tmp_path, request.param)


@pytest.fixture
def dash_host(tmp_path: Path) -> RealHost:
    return RealHost(tmp_path, "dash")


@pytest.fixture(autouse=True)
def _nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit tests send nothing to the addresses of a fleet file."""
    monkeypatch.setattr("fleet.reach.knock", lambda place, port: False)


FakeProgram = Callable[[str, str], Path]


@pytest.fixture
def program(tmp_path: Path) -> FakeProgram:
    """Put a program of that name, in sh, into tmp_path/bin, and return that directory."""

    def put(name: str, body: str) -> Path:
        directory = tmp_path / "bin"
        directory.mkdir(exist_ok=True)
        path = directory / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return directory

    return put


def lines(change: Change | None) -> Iterable[str]:
    """What a change says; it must be one."""
    assert change
    return change.says
