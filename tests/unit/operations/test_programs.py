"""Programs are installed whole from verified artifacts, or not at all: the scripts run for real."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from facts.look import Look, interpret, probes
from facts.manifests import Entry
from facts.probe import compose
from fleet.resources import Artifact, Program, Resources
from operations import artifacts, programs
from operations.artifacts import SEAL
from operations.change import Change, RefusedError
from tests.unit.conftest import FakeHost, FakeProgram, RealHost, Run, lines, on_linux

pytestmark = on_linux
MEMBER = "package/tool"


def archive(content: bytes, member: str = MEMBER) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, data in (("package/README", b"read me"), (member, content)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            made.addfile(entry, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0)


@dataclass
class Place:
    """A host that gets one program."""

    host: RealHost
    keeps: bool = False  # its artifact, for others

    @property
    def artifacts(self) -> Path:
        return self.host.state_dir / "artifacts"

    def program(self, version: str, packed: bytes, member: str = MEMBER) -> Program:
        sha256 = hashlib.sha256(packed).hexdigest()
        path = str(self.artifacts / sha256 / f"tool-{version}")
        source = Artifact("tool", version, path, sha256, len(packed))
        home = self.host.root / "opt" / "tool"
        return Program("tool", version, str(home / f"{version}-it" / "tool"), source, member)

    def want(self, program: Program) -> Resources:
        return Resources(programs=(program,), artifacts=(program.artifact,) if self.keeps else ())

    def look(self, program: Program) -> Look:
        want = {"cap": self.want(program)}
        asked = probes(want, mac=False, state_dir=str(self.host.state_dir))
        run = self.host.sh(compose(asked))
        assert run.returncode == 0, run.stderr
        return interpret(asked, run.stdout.splitlines())

    def plan(self, program: Program) -> Change | None:
        want = self.want(program)
        return programs.plan(want, self.host.context(want), self.look(program))

    def arrives(self, program: Program, packed: bytes) -> None:
        """The artifact, as a pull leaves it."""
        path = Path(program.artifact.path)
        path.parent.mkdir(parents=True)
        path.write_bytes(packed)

    def bring(self, program: Program) -> Run:
        change = self.plan(program)
        assert change
        return self.host.run(change)

    def comes(self, version: str) -> Program:
        """The whole way of one version that is not there yet."""
        packed = archive(version.encode())
        program = self.program(version, packed)
        self.arrives(program, packed)
        run = self.bring(program)
        assert (run.returncode, run.stderr) == (0, "")
        return program

    @property
    def generations(self) -> list[str]:
        return sorted(path.parent.name for path in self.host.root.glob("opt/tool/*/tool"))


@pytest.fixture
def place(real_host: RealHost) -> Place:
    return Place(real_host)


@pytest.mark.parametrize("member", [MEMBER, ""])
def test_it_comes_whole_and_once(place: Place, member: str) -> None:
    packed = archive(b"#!/bin/sh\n") if member else b"#!/bin/sh\n"
    program = place.program("1.0", packed, member)
    place.arrives(program, packed)
    assert lines(place.plan(program)) == ("program tool 1.0: install (1 MB)",)
    run = place.bring(program)
    assert (run.returncode, run.stderr) == (0, "")
    path = Path(program.path)
    assert path.read_bytes() == b"#!/bin/sh\n"
    assert path.stat().st_mode & 0o777 == 0o755
    assert [p.name for p in path.parent.iterdir()] == ["tool"]
    assert place.plan(program) is None
    assert list(place.artifacts.iterdir()) == [], "what it was made from is not kept"
    kept = place.look(program).manifests["cap"].entries
    assert kept == (Entry("program", program.home),)


def test_nobody_reads_it_to_see_that_it_is_there(place: Place) -> None:
    place.keeps = True
    program = place.comes("1.0")
    look = place.look(program)
    for path in (program.path, program.artifact.path):
        state = look.path(path)
        assert state
        assert (state.sha256, state.size > 0) == ("", True)


def test_its_artifact_travels_only_while_it_is_missing(place: Place) -> None:
    program = place.program("1.0", archive(b"1.0"))
    want = place.want(program)
    needed = artifacts.missing(want, place.host.context(want), place.look(program))
    assert needed == [program.artifact]
    place.comes("1.0")
    assert artifacts.missing(want, place.host.context(want), place.look(program)) == []


def test_who_serves_the_artifact_keeps_it(place: Place) -> None:
    place.keeps = True
    program = place.comes("1.0")
    assert Path(program.artifact.path).exists()
    want = place.want(program)
    bare = Resources(programs=want.programs)
    nothing = FakeHost().lacks(program.path, program.current, program.artifact.path).look
    assert artifacts.missing(bare, place.host.context(want), nothing) == []


def test_what_broken_attempts_left_goes(place: Place) -> None:
    for name in ("tool-0.9.part", "tool-0.8", "toolbox-1"):
        (place.artifacts / name).mkdir(parents=True)
        (place.artifacts / name / name).touch()
    place.comes("1.0")
    assert [path.name for path in place.artifacts.iterdir()] == ["toolbox-1"]


def test_an_artifact_that_was_damaged_since_it_came(place: Place) -> None:
    program = place.program("1.0", archive(b"1.0"))
    place.arrives(program, archive(b"1.1"))
    run = place.bring(program)
    assert run.returncode == 1
    forged = hashlib.sha256(archive(b"1.1")).hexdigest()
    assert f"tool is damaged, {program.artifact.path} is {forged}, pinned is" in run.stderr
    assert place.generations == []
    assert not Path(program.artifact.path).exists(), "so the next run fetches it"


def test_an_artifact_that_did_not_come(place: Place) -> None:
    run = place.bring(place.program("1.0", archive(b"1.0")))
    assert run.returncode == 1
    assert "a run of all capabilities brings it" in run.stderr


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (archive(bytes(range(256)) * 4000)[:-3000], "does not come out of"),
        (archive(b"x", "package/other"), "does not come out of"),
        (archive(b""), "there is nothing in"),
        (b"no archive at all", "does not come out of"),
    ],
    ids=["torn", "another member", "empty", "no archive"],
)
def test_what_does_not_unpack_does_not_count(place: Place, packed: bytes, said: str) -> None:
    program = place.program("1.0", packed)
    place.arrives(program, packed)
    run = place.bring(program)
    assert run.returncode == 1
    assert said in run.stderr
    assert list(Path(program.path).parent.iterdir()) == []
    assert lines(place.plan(program)) == ("program tool 1.0: install (1 MB)",)
    listed = place.look(program).manifests["cap"].entries
    assert listed == (Entry("program", program.home),), "known, whatever happens"


def test_what_a_dead_run_left_does_not_count(place: Place) -> None:
    program = place.program("1.0", archive(b"1.0"))
    Path(program.path).parent.mkdir(parents=True)
    Path(f"{program.path}.new").write_bytes(b"half of it, and longer than the whole")
    Path(program.path).touch()  # as after a power cut
    assert lines(place.plan(program)) == ("program tool 1.0: install (1 MB)",)
    place.comes("1.0")
    assert Path(program.path).read_bytes() == b"1.0"
    assert not Path(f"{program.path}.new").exists()


def test_a_full_disk_is_said_in_words(place: Place, program: FakeProgram) -> None:
    packed = archive(bytes(5_000_000))  # much smaller than what is in it
    tool = place.program("1.0", packed)
    place.arrives(tool, packed)
    df = program("df", "printf 'File 1024-blocks Used Available\\n/dev/a 9 9 4000 1%% /\\n'")
    place.host.path = f"{df}:{place.host.path}"
    run = place.bring(tool)
    assert run.returncode == 1
    assert "the disk is full: tool takes 6 MB in" in run.stderr
    assert "4 MB are free" in run.stderr
    assert place.generations == []
    assert Path(tool.artifact.path).exists(), "so the next run need not fetch it"


def test_the_version_before_stays_and_older_ones_go(place: Place) -> None:
    place.comes("1.0")
    place.comes("1.1")
    assert place.generations == ["1.0-it", "1.1-it"]
    place.comes("1.2")
    assert place.generations == ["1.1-it", "1.2-it"]


def test_back_to_the_version_before(place: Place) -> None:
    """Which then is the one in use, so it is the other one that goes."""
    first = place.comes("1.0")
    second = place.comes("1.1")
    assert lines(place.plan(first)) == ("program tool 1.0: is here already, use it",)
    assert place.bring(first).returncode == 0
    assert place.plan(first) is None
    assert place.plan(second)
    assert place.generations == ["1.0-it", "1.1-it"]
    place.comes("1.2")
    assert place.generations == ["1.0-it", "1.2-it"]


def test_it_leaves_with_its_capability(place: Place) -> None:
    place.comes("1.0")
    place.comes("1.1")
    run = place.host.retire()
    assert (run.returncode, run.stderr) == (0, "")
    assert place.host.tree() == {}
    assert not (place.host.root / "opt").exists(), "nothing else was in it"


def test_another_version_is_no_reason_to_leave(place: Place) -> None:
    old = place.comes("1.0")
    new = replace(old, version="1.1", path=old.path.replace("1.0-it", "1.1-it"))
    want = place.want(new)
    change = place.host.plan(want)
    assert change is None or not any("remove" in line for line in change.says)


def test_a_directory_in_its_place_is_refused(place: Place) -> None:
    program = place.program("1.0", archive(b"1.0"))
    Path(program.path).mkdir(parents=True)
    with pytest.raises(RefusedError, match="is a directory, a program should be there"):
        place.plan(program)


def test_several_at_once(place: Place) -> None:
    packed = archive(b"1.0")
    one = place.program("1.0", packed)
    place.arrives(one, packed)
    plain = replace(one.artifact, name="bare", sha256=hashlib.sha256(b"bare").hexdigest())
    plain = replace(plain, path=str(place.artifacts / plain.sha256 / "bare-2.0"), size=4)
    two = Program("bare", "2.0", f"{place.host.root}/opt/bare/2.0-it/bare", plain)
    place.arrives(two, b"bare")
    want = Resources(programs=(one, two))
    paths = [path for p in (one, two) for path in (p.path, p.current)]
    change = programs.plan(want, place.host.context(want), FakeHost().lacks(*paths).look)
    assert change
    assert place.host.run(change).returncode == 0
    assert Path(one.path).read_bytes() == b"1.0"
    assert Path(two.path).read_bytes() == b"bare"


def test_the_seal_is_what_touch_makes_of_it(place: Place) -> None:
    path = place.host.root / "sealed"
    run = place.host.sh(f"TZ=UTC0 touch -t 200001010000 {path}")
    assert (run.returncode, path.stat().st_mtime) == (0, SEAL)
