"""Programs that are a whole tree, such as a pinned clang: planted as one, or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from facts.look import Look, interpret, probes
from facts.manifests import Entry
from facts.probe import compose
from fleet.resources import Artifact, Program, Resources
from operations import artifacts, programs
from operations.change import Change, RefusedError, wrap
from tests.unit.conftest import FakeProgram, RealHost, Run, lines, on_linux

pytestmark = on_linux
CLANG = "bin/clang"


def archive(content: str, program: str = CLANG, *, link: bool = True) -> bytes:
    """A tar.xz like LLVM's own: one directory, the program a link to its versioned name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as made:

        def put(name: str, data: bytes, mode: int = 0o644) -> None:
            entry = tarfile.TarInfo(f"clang+llvm/{name}")
            entry.size, entry.mode, entry.uid, entry.uname = len(data), mode, 1234, "builder"
            made.addfile(entry, io.BytesIO(data))

        put("lib/libLLVM.so", f"library of {content}".encode())
        if link:
            put(f"{program}-16", content.encode(), 0o755)
            entry = tarfile.TarInfo(f"clang+llvm/{program}")
            entry.type, entry.linkname = tarfile.SYMTYPE, f"{program.rpartition('/')[2]}-16"
            made.addfile(entry)
        else:
            put(program, content.encode(), 0o755)
    return buffer.getvalue()


@dataclass
class Place:
    """A host that gets one tree."""

    host: RealHost

    def program(self, version: str, packed: bytes) -> Program:
        sha256 = hashlib.sha256(packed).hexdigest()
        path = str(self.host.state_dir / "artifacts" / sha256 / f"llvm-{version}")
        source = Artifact("llvm", version, path, sha256, len(packed))
        home = self.host.root / "opt" / "llvm"
        return Program("llvm", version, f"{home}/{version}-it/{CLANG}", source, tree=CLANG)

    def look(self, program: Program) -> Look:
        want = {"cap": Resources(programs=(program,))}
        asked = probes(want, mac=False, state_dir=str(self.host.state_dir))
        run = self.host.sh(compose(asked))
        assert run.returncode == 0, run.stderr
        return interpret(asked, run.stdout.splitlines())

    def plan(self, program: Program) -> Change | None:
        want = Resources(programs=(program,))
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
        packed = archive(version)
        program = self.program(version, packed)
        self.arrives(program, packed)
        run = self.bring(program)
        assert (run.returncode, run.stderr) == (0, "")
        return program

    @property
    def home(self) -> list[str]:
        """All that is there of any version."""
        return sorted(path.name for path in (self.host.root / "opt" / "llvm").iterdir())


@pytest.fixture
def place(real_host: RealHost) -> Place:
    return Place(real_host)


@pytest.mark.parametrize("link", [True, False], ids=["a link", "a file"])
def test_the_whole_tree_comes_once(place: Place, link: bool) -> None:
    packed = archive("the compiler", link=link)
    program = place.program("16.0.6", packed)
    place.arrives(program, packed)
    assert lines(place.plan(program)) == ("program llvm 16.0.6: install (1 MB)",)
    run = place.bring(program)
    assert (run.returncode, run.stderr) == (0, "")
    assert Path(program.path).read_text() == "the compiler"
    assert os.access(program.path, os.X_OK)
    library = Path(program.directory) / "lib" / "libLLVM.so"
    assert library.read_text() == "library of the compiler"
    assert library.stat().st_uid == os.getuid(), "not whoever had that number where it was built"
    assert Path(program.directory).stat().st_mode & 0o777 == 0o755
    assert place.home == ["16.0.6-it", "current"]
    assert place.plan(program) is None
    assert not Path(program.artifact.path).exists(), "what it was made from is not kept"
    assert place.look(program).manifests["cap"].entries == (Entry("program", program.home),)


def test_its_archive_travels_only_while_it_is_missing(place: Place) -> None:
    program = place.program("16.0.6", archive("16.0.6"))
    want = Resources(programs=(program,))
    context = place.host.context(want)
    assert artifacts.missing(want, context, place.look(program)) == [program.artifact]
    place.comes("16.0.6")
    assert artifacts.missing(want, context, place.look(program)) == []


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (archive("x", "bin/gcc"), "llvm: bin/clang is not in "),
        (archive("x" * 500)[:-200], "is no archive"),
        (b"no archive at all", "is no archive"),
    ],
    ids=["another program", "torn", "no archive"],
)
def test_what_does_not_unpack_does_not_count(place: Place, packed: bytes, said: str) -> None:
    place.comes("16.0.5")
    program = place.program("16.0.6", packed)
    place.arrives(program, packed)
    run = place.bring(program)
    assert run.returncode == 1
    assert said in run.stderr
    assert place.home == ["16.0.5-it", "current"], "the one before is in use as ever"
    assert lines(place.plan(program)) == ("program llvm 16.0.6: install (1 MB)",)


def test_an_archive_that_was_damaged_since_it_came(place: Place) -> None:
    program = place.program("16.0.6", archive("16.0.6"))
    place.arrives(program, archive("forged"))
    run = place.bring(program)
    assert run.returncode == 1
    assert "llvm is damaged" in run.stderr
    assert not Path(program.directory).exists()


def test_what_a_dead_run_left_does_not_count(place: Place) -> None:
    """Neither what it staged nor a tree without the program, as after a power cut."""
    program = place.program("16.0.6", archive("16.0.6"))
    for rubbish in (Path(f"{program.directory}.new") / "bin", Path(program.directory) / "old"):
        rubbish.mkdir(parents=True)
        (rubbish / "rubbish").touch()
    place.comes("16.0.6")
    assert place.home == ["16.0.6-it", "current"]
    assert sorted(path.name for path in Path(program.directory).iterdir()) == ["bin", "lib"]


def test_an_interrupted_one_leaves_nothing_of_it(place: Place, program: FakeProgram) -> None:
    packed = archive("16.0.6")
    tree = place.program("16.0.6", packed)
    place.arrives(tree, packed)
    change = place.plan(tree)
    assert change
    hanging = place.host.root / "hanging"
    directory = program("sync", f"touch {hanging}; exec sleep 30")
    environment = {"PATH": f"{directory}:{place.host.path}"}
    script = place.host.root / "script"
    script.write_text(wrap(change.script))
    running = subprocess.Popen(
        [*place.host.shell, str(script)], env=environment, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 10
        while not hanging.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert place.home == ["16.0.6-it.new"], "it does not have its name yet"
        os.killpg(running.pid, signal.SIGTERM)
        assert running.wait(10) != 0
    finally:
        running.kill()
        running.wait()
    assert place.home == []
    assert place.bring(tree).returncode == 0
    assert Path(tree.path).read_text() == "16.0.6"


def test_a_full_disk_is_said_in_words(place: Place, program: FakeProgram) -> None:
    packed = archive(os.urandom(500_000).hex())
    tree = place.program("16.0.6", packed)
    place.arrives(tree, packed)
    df = program("df", "printf 'File 1024-blocks Used Available\\n/dev/a 9 9 1900 1%% /\\n'")
    place.host.path = f"{df}:{place.host.path}"
    run = place.bring(tree)
    assert run.returncode == 1
    assert "the disk is full: llvm takes " in run.stderr
    assert place.home == []
    assert Path(tree.artifact.path).exists(), "so the next run need not fetch it"


def test_the_version_before_stays_and_older_ones_go(place: Place) -> None:
    """Jobs that began with it go on."""
    first = place.comes("16.0.4")
    second = place.comes("16.0.5")
    assert place.home == ["16.0.4-it", "16.0.5-it", "current"]
    assert Path(first.path).read_text() == "16.0.4"
    place.comes("16.0.6")
    assert place.home == ["16.0.5-it", "16.0.6-it", "current"]
    assert place.plan(second), "it is here, and another one is in use"
    assert place.bring(second).returncode == 0
    assert place.plan(second) is None


def test_it_leaves_with_its_capability(place: Place) -> None:
    place.comes("16.0.5")
    place.comes("16.0.6")
    run = place.host.retire()
    assert (run.returncode, run.stderr) == (0, "")
    assert not (place.host.root / "opt").exists()


def test_a_directory_in_its_place_is_refused(place: Place) -> None:
    program = place.program("16.0.6", archive("16.0.6"))
    Path(program.path).mkdir(parents=True)
    with pytest.raises(RefusedError, match="is a directory, a program should be there"):
        place.plan(program)
