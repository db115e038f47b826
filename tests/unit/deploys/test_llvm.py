"""The fleet's clang: which packages or archive it comes from, and which one it is."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from deploys import llvm
from facts.probe import compose, split
from facts.values import ValuesProbe
from fleet.environments import version
from fleet.lock import ArtifactsLock
from fleet.model import Os
from fleet.plan import view_of
from fleet.resources import Manager, Reading, Resources
from fleet.view import HostView
from tests.unit.clusters import GOLDEN, target_of, told, with_toolchain
from tests.unit.conftest import FakeProgram, RealHost, on_linux

ARCH, PI, WSL, MAC = "arch-orchestrator", "rpi1", "windows-desktop", "imac"
SHA256 = "ab" * 32
PINS = ArtifactsLock.model_validate(
    {
        "version": 1,
        "artifacts": {
            "llvm": {
                "version": "16.0.6",
                "platforms": {
                    "linux-x86_64": {
                        "sources": [{"origin": "upstream", "url": "https://example.org/it.tar.xz"}],
                        "sha256": SHA256,
                        "size": 500,
                    }
                },
            }
        },
    }
)


def view(name: str, *, major: int = 16, pinned: bool = False) -> HostView:
    target = target_of(with_toolchain(GOLDEN, major))
    return view_of(replace(target, artifacts=PINS if pinned else ArtifactsLock()), name)


def test_a_fleet_without_a_toolchain_gets_none() -> None:
    bare = view_of(target_of(GOLDEN), PI)
    assert llvm.resources(bare) == Resources()
    assert llvm.homes(bare) == ()


@pytest.mark.parametrize(
    ("host", "manager", "package"),
    [
        (ARCH, Manager.PACMAN, "clang17"),
        (PI, Manager.APT, "clang-17"),
        (WSL, Manager.APT, "clang-17"),
        (MAC, Manager.BREW, "llvm@17"),
        (MAC, Manager.PORT, "clang-17"),
    ],
)
def test_each_system_calls_the_package_otherwise(host: str, manager: Manager, package: str) -> None:
    (found,) = llvm.resources(view(host, major=17)).packages
    assert found.under(manager) == package


@pytest.mark.parametrize(
    ("host", "homes"),
    [
        (ARCH, ("/usr/lib/llvm17",)),
        (PI, ("/usr/lib/llvm-17",)),
        (MAC, ("/usr/local/opt/llvm@17", "/opt/local/libexec/llvm-17")),
    ],
)
def test_and_puts_it_elsewhere_than_its_own(host: str, homes: tuple[str, ...]) -> None:
    assert llvm.homes(view(host, major=17)) == homes


def test_there_is_a_place_for_it_in_every_system() -> None:
    for system in Os:
        fleet = told(with_toolchain(GOLDEN), PI, os=system)
        assert llvm.homes(view_of(target_of(fleet), PI))


def test_a_pinned_archive_beats_the_packages_where_it_is_pinned() -> None:
    here = llvm.resources(view(WSL, pinned=True))
    assert here.packages == ()
    (tree,) = here.programs
    assert tree.path == "/opt/agentfleet/llvm/16.0.6-abababababab/bin/clang"
    assert (tree.tree, tree.artifact.sha256) == ("bin/clang", SHA256)
    assert llvm.homes(view(WSL, pinned=True)) == (tree.directory,)
    elsewhere = llvm.resources(view(PI, pinned=True))
    assert elsewhere.programs == ()
    assert elsewhere.packages == llvm.resources(view(PI)).packages


# The fingerprint, run for real

CLANG = """echo "$*" >>{root}/calls
[ ! -e {root}/broken ] || {{ echo 16; exit 1; }}
case $* in -dumpversion) echo 16.0.6 ;; *) echo "an object"; cat - {root}/defaults ;; esac"""
LDD = """for it; do
    [ "$it" != {root}/llvm/bin/clang ] || echo "    libLLVM.so => {root}/libLLVM.so (0x7f)"
done
echo "    linux-vdso.so.1 (0x7ffc)" """


class Machine:
    """A host with a clang, its library, an assembler, and what a look asks of it."""

    def __init__(self, host: RealHost, program: FakeProgram) -> None:
        self.host, self.root = host, host.root
        self.calls, self.memo = self.root / "calls", host.state_dir / "compiler"
        self.library, self.assembler = self.root / "libLLVM.so", self.root / "as"
        host.state_dir.mkdir()
        self.calls.touch()
        (self.root / "defaults").touch()
        self.library.write_bytes(b"library")
        self.assembler.write_bytes(b"assembler")
        self.assembler.chmod(0o755)
        self.clang = self.installed("llvm")
        directory = program("ldd", LDD.format(root=self.root))
        host.path = f"{directory}:{host.path}"

    def installed(self, home: str) -> Path:
        path = self.root / home / "bin" / "clang"
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{CLANG.format(root=self.root)}\n")
        path.chmod(0o755)
        return path

    def reading(self, home: str = "llvm") -> Reading:
        found = view(PI)
        (reading,) = llvm.resources(found).readings
        text = reading.read
        for old, new in (
            (llvm.homes(found)[0], str(self.root / home)),
            (found.settings.state_dir, str(self.host.state_dir)),
            ("/usr/bin/as", str(self.assembler)),
            ("/usr/bin/objcopy", str(self.root / "no-objcopy")),
        ):
            assert old in text
            text = text.replace(old, new)
        return replace(reading, read=text)

    def look(self, home: str = "llvm") -> str:
        """What a look learns."""
        probe = ValuesProbe((self.reading(home),))
        run = self.host.sh(compose((probe,)))
        assert run.returncode == 0, run.stderr
        return probe.parse(split(run.stdout.splitlines())["values"])["compiler"]

    @property
    def asked(self) -> int:
        """How often the compiler was asked which one it is."""
        return self.calls.read_text().splitlines().count("-dumpversion")


@pytest.fixture
def machine(real_host: RealHost, program: FakeProgram) -> Machine:
    return Machine(real_host, program)


@on_linux
def test_it_is_version_and_digest_of_all_that_it_is_packed_from(machine: Machine) -> None:
    parts = (machine.clang, machine.assembler, machine.library)
    everything = b"".join(path.read_bytes() for path in parts)
    digest = hashlib.sha256(everything).hexdigest()[:12]
    assert re.fullmatch(rf"16\.0\.6\+[0-9a-f]{{6}} {digest}", machine.look())


@on_linux
def test_builds_of_one_version_with_other_defaults_are_told_apart(machine: Machine) -> None:
    """By the code that they make, for either architecture; nothing of this host is in it."""
    before = machine.look()
    asked = machine.calls.read_text()
    for architecture in ("x86_64", "aarch64"):
        assert f"{' '.join(llvm.FLAGS)} --target={architecture}-linux-gnu -O2 -fno-ident" in asked
    (machine.root / "defaults").write_text("stack protector\n")
    machine.memo.unlink()
    after = machine.look()
    assert version(after) != version(before)
    assert after.partition(" ")[2] == before.partition(" ")[2]


@on_linux
def test_a_second_look_reads_none_of_it(machine: Machine) -> None:
    first = machine.look()
    before = machine.library.stat()
    machine.library.write_bytes(b"LIBRARY")
    os.utime(machine.library, (before.st_atime, before.st_mtime))
    assert machine.look() == first
    assert machine.asked == 1
    assert sorted(path.name for path in machine.host.state_dir.iterdir()) == ["compiler"]


@pytest.mark.parametrize("changed", ["clang", "library", "assembler"])
@on_linux
def test_whatever_changes_it_is_another_one(machine: Machine, changed: str) -> None:
    before = machine.look()
    path: Path = getattr(machine, changed)
    with path.open("ab") as stream:
        stream.write(b"\n# patched\n")
    after = machine.look()
    assert after != before
    assert after.startswith("16.0.6+")
    assert machine.look() == after
    assert machine.asked == 2


@on_linux
def test_an_update_of_the_same_size_is_noticed(machine: Machine) -> None:
    before = machine.look()
    machine.library.write_bytes(b"LIBRARY")
    os.utime(machine.library, (1, 1))
    assert machine.look() != before


@on_linux
def test_another_home_is_looked_at_anew(machine: Machine) -> None:
    """A new major version has one; what was computed of the old one says nothing."""
    before = machine.look()
    other = machine.installed("llvm17")
    other.write_text(other.read_text().replace("16.0.6", "17.0.1"))
    after = machine.look("llvm17")
    assert after.startswith("17.0.1+")
    assert after != before
    assert machine.look() == before
    assert machine.asked == 3


@on_linux
def test_no_compiler_says_nothing_whatever_it_said_before(machine: Machine) -> None:
    assert machine.look("elsewhere") == ""
    assert not machine.memo.exists()
    assert machine.look() != ""
    machine.clang.unlink()
    assert machine.look() == ""


@on_linux
def test_a_broken_compiler_says_nothing_and_is_asked_again(machine: Machine) -> None:
    (machine.root / "broken").touch()
    assert machine.look() == ""
    assert not machine.memo.exists()
    (machine.root / "broken").unlink()
    assert machine.look().startswith("16.0.6+")


@pytest.mark.parametrize(
    "memo", ["", "1 2\n", "\n\n\n", "x\n16.0.6+0f1e2d 000000000000\n/nowhere\n"]
)
@on_linux
def test_a_memo_that_is_torn_is_not_believed(machine: Machine, memo: str) -> None:
    right = machine.look()
    machine.memo.write_text(memo)
    assert machine.look() == right
    assert machine.memo.read_text().splitlines()[1] == right


@on_linux
def test_the_first_look_of_all_has_nowhere_to_keep_it(machine: Machine) -> None:
    machine.host.state_dir.rmdir()
    assert machine.look().startswith("16.0.6+")
    assert not machine.host.state_dir.exists()


@on_linux
def test_a_mac_is_asked_in_its_own_words(tmp_path: Path, program: FakeProgram) -> None:
    """Run with its shell, and with programs here that take what BSD's and Perl's take."""
    host = RealHost(tmp_path, "bash")
    host.state_dir.mkdir()
    program("stat", 'shift 3\nexec /usr/bin/stat -L -c "%s %Y" "$@"')
    directory = program("shasum", 'shift 2\nexec sha256sum "$@"')
    host.path = f"{directory}:{host.path}"
    home, found = tmp_path / "macports", view(MAC)
    for name in ("bin/clang", "lib/libclang-cpp.dylib", "lib/libLLVM.dylib"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(f"#!/bin/sh\necho {name} >>{tmp_path}/calls\necho 16.0.6\n")
    (home / "bin" / "clang").chmod(0o755)
    (reading,) = llvm.resources(found).readings
    text = reading.read.replace(llvm.homes(found)[1], str(home))
    text = text.replace(llvm.homes(found)[0], str(tmp_path / "homebrew"))
    text = text.replace(found.settings.state_dir, str(host.state_dir))
    probe = ValuesProbe((replace(reading, read=text),))

    def look() -> str:
        run = host.sh(compose((probe,)))
        return probe.parse(split(run.stdout.splitlines())["values"])["compiler"]

    first = look()
    assert first.startswith("16.0.6+")
    assert look() == first
    assert (tmp_path / "calls").read_text().count("clang\n") == 3, "the second is from memory"
    (home / "lib" / "libLLVM.dylib").write_text("patched")
    assert look() != first
