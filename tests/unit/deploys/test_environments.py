"""Packing the fleet's clang: the script runs for real, with an icecc-create-env that is told."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from deploys import environments, llvm
from facts.look import probes
from facts.paths import PathsProbe
from fleet.commands.render import listing
from fleet.environments import Environment, read_environments
from fleet.kinds import Arch
from fleet.model import Fleet
from fleet.plan import view_of, wanted
from fleet.resources import Manager, Resources
from fleet.toolchains import matrix
from fleet.view import HostView
from operations.artifacts import SEAL
from tests.unit.clusters import (
    CLANG,
    GOLDEN,
    OLD,
    REBUILT,
    environment,
    green,
    target_of,
    told,
    with_compilers,
)
from tests.unit.conftest import SHELLS, on_linux

PI, WITNESS, OTHER = "rpi1", "rpi2", "rpi3"
ASKED = "16.0.6+0f1e2d 0123456789ab 1"

# Does not get small when it is compressed: icecream refuses environments below 500 bytes.
LIBRARY = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(32))
# Makes what icecream's own makes: a tar named after its content, of what is in `toolchain`.
CREATE = """#!/bin/sh
echo "$*" >>{root}/asked
[ ! -e {root}/hang ] || {{ touch {root}/hanging; exec sleep 30; }}
echo "adding things"
[ ! -e {root}/fails ] || {{ echo "no such compiler" >&2; exit 1; }}
[ ! -e {root}/silent ] || exit 0
tar -cf 0123456789abcdef0123456789abcdef.tar -C {root}/toolchain $(ls -A {root}/toolchain)
"""


# What is wanted


def view(name: str) -> HostView:
    return view_of(target_of(green()), name)


def test_only_those_that_the_matrix_names_pack() -> None:
    packing = {
        host.name
        for host in green().hosts
        if environments.resources(view(host.name)) != Resources()
    }
    assert packing == {name for names in matrix(green()).builders.values() for name in names}
    assert packing == {"arch-orchestrator", PI, WITNESS}


def test_a_fleet_without_a_toolchain_packs_nothing() -> None:
    for host in GOLDEN.hosts:
        assert environments.resources(view_of(target_of(GOLDEN), host.name)) == Resources()


def test_it_is_packed_anew_when_compiler_or_recipe_change(monkeypatch: pytest.MonkeyPatch) -> None:
    def version() -> str:
        (build,) = environments.resources(view(PI)).builds
        return build.version

    assert version() == f"{CLANG} 1"
    monkeypatch.setattr(environments, "RECIPE", 2)
    assert version() == f"{CLANG} 2"


@pytest.mark.parametrize("compiler", [None, OLD])
def test_a_compiler_that_nobody_has_told_of_is_unknown(compiler: str | None) -> None:
    fleet = told(with_compilers(), PI, compiler=compiler)
    (build,) = environments.resources(view_of(target_of(fleet), PI)).builds
    assert build.version == "16 unknown 1"


def test_one_that_was_made_has_to_be_there() -> None:
    """It leaves with the toolchain; once that comes back, nobody else may have it."""

    def makes(fleet: Fleet) -> str:
        (build,) = environments.resources(view_of(target_of(fleet), PI)).builds
        return build.makes

    assert makes(green()) == f"/opt/icecc-envs/{environment(Arch.AARCH64).name}"
    assert makes(with_compilers()) == ""
    assert makes(told(green(), PI, compiler=REBUILT)) == "", "that one has yet to be packed"


def test_the_packers_are_packages_of_every_system_but_a_macs() -> None:
    names = {package.name for package in environments.resources(view(PI)).packages}
    assert names == {"file", "binutils", "zstd"}
    for package in environments.resources(view(PI)).packages:
        assert package.under(Manager.BREW) is package.under(Manager.PORT) is None


def test_it_is_listed_as_what_it_is() -> None:
    listed = listing(view(PI))
    script = "/usr/local/libexec/agentfleet/pack-environment"
    assert f"build      environment of clang for aarch64 {CLANG} 1 by {script}\n" in listed


# The script


class Builder:
    """A host that packs, below a directory."""

    def __init__(self, root: Path, shell: str = "dash") -> None:
        self.root, self.shell = root, SHELLS[shell]
        self.envs, self.state, self.toolchain = root / "envs", root / "state", root / "toolchain"
        self.records, self.stamp = self.state / "environments", self.state / "environments.stamp"
        for directory in (root / "bin", self.envs, self.state, root / "llvm" / "bin"):
            directory.mkdir(parents=True)
        self.program(root / "bin" / "icecc-create-env", CREATE.format(root=root))
        self.program(root / "llvm" / "bin" / "clang", "#!/bin/sh\n")
        self.program(self.toolchain / "usr" / "bin" / "clang", "the compiler")
        self.program(self.toolchain / "usr" / "bin" / "as", "the assembler")
        for name in ("gcc", "g++"):
            self.program(self.toolchain / "usr" / "bin" / name, "leads to clang")
        self.program(self.toolchain / "usr" / "lib" / "libLLVM.so.16", LIBRARY)
        self.program(self.toolchain / "var" / "cache" / "ldconfig" / "aux-cache", "inodes")
        self.script = root / "pack"
        self.install()

    def program(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def install(self) -> None:
        found = view(PI)
        (file,) = environments.resources(found).files
        text = file.content.decode()
        for old, new in (
            ("PATH=/usr/lib/icecream/bin:", f"PATH={self.root}/bin:"),
            (llvm.homes(found)[0], str(self.root / "llvm")),
            (found.settings.environments_dir, str(self.envs)),
            (found.settings.state_dir, str(self.state)),
        ):
            assert old in text
            text = text.replace(old, new)
        self.script.write_text(text)

    def pack(self, *asked: str) -> subprocess.CompletedProcess[str]:
        """Without arguments: what a run asks of the compiler that it has learned of."""
        command = [*self.shell, str(self.script), *(asked or (ASKED,))]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    def packs(self, asked: str = ASKED) -> Environment:
        """The environment that comes out."""
        run = self.pack(asked)
        assert (run.returncode, run.stderr) == (0, "")
        return self.made[0]

    @property
    def made(self) -> list[Environment]:
        """What a look learns of what was packed."""
        (reading,) = environments.resources(view(PI)).readings
        asked = reading.read.replace(view(PI).settings.state_dir, str(self.state))
        run = subprocess.run([*self.shell, "-c", asked], capture_output=True, text=True, check=True)
        return list(read_environments(run.stdout))

    def members(self, name: str) -> list[str]:
        tar = self.root / "unpacked.tar"
        with tar.open("wb") as stream:
            command = ["zstd", "-dcq", str(self.envs / name)]
            subprocess.run(command, stdout=stream, check=True)
        with tarfile.open(tar) as archive:
            owners = {(it.uid, it.gid, it.uname, it.gname, it.mtime) for it in archive}
            assert owners == {(0, 0, "", "", 0)}
            return [entry.name for entry in archive if not entry.isdir()]

    def assert_nothing(self) -> None:
        assert list(self.envs.iterdir()) == []
        assert list(self.state.iterdir()) == []


@pytest.fixture(params=sorted(SHELLS))
def builder(request: pytest.FixtureRequest, tmp_path: Path) -> Builder:
    return Builder(tmp_path, request.param)


@pytest.fixture
def dash_builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


@on_linux
def test_what_is_packed_is_what_the_record_says(builder: Builder) -> None:
    made = builder.packs()
    path = builder.envs / made.name
    assert [it.name for it in builder.envs.iterdir()] == [made.name]
    assert made.platform is Arch.AARCH64
    assert made.compiler == CLANG
    assert made.size == path.stat().st_size
    assert _sha256(path) == made.sha256
    assert builder.members(made.name) == ["usr/bin/as", "usr/bin/clang", "usr/lib/libLLVM.so.16"]
    assert (builder.root / "unpacked.tar").stat().st_size == made.unpacked
    assert _sha256(builder.root / "unpacked.tar") == made.content
    assert f"--clang {builder.root}/llvm/bin/clang " in (builder.root / "asked").read_text()


def _sha256(path: Path) -> str:
    done = subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True)
    return done.stdout.split()[0]


@on_linux
def test_it_is_sealed_and_everybody_may_read_it(builder: Builder) -> None:
    """So that the next look neither reads nor fetches what the host has made itself."""
    stat = (builder.envs / builder.packs().name).stat()
    assert (stat.st_mtime, stat.st_mode & 0o777) == (SEAL, 0o644)


@on_linux
def test_the_stamp_is_what_a_run_compares(builder: Builder) -> None:
    builder.packs()
    (build,) = environments.resources(view(PI)).builds
    assert builder.stamp.read_text() == f"{build.version}\n"


@on_linux
def test_two_that_pack_the_same_get_the_same_bytes(tmp_path: Path) -> None:
    """Whenever, whoever, in whichever order it lies on the disk, and with whatever umask."""
    one, two = Builder(tmp_path / "one"), Builder(tmp_path / "two", "bash")
    shutil.rmtree(two.toolchain)
    for path in sorted(one.toolchain.rglob("*"), reverse=True):
        if path.is_file():
            two.program(two.toolchain / path.relative_to(one.toolchain), path.read_text())
    for number, path in enumerate(sorted(two.toolchain.rglob("*"), reverse=True)):
        path.chmod(0o775 if path.is_dir() else 0o755)
        if os.getuid() == 0:
            os.chown(path, 1000 + number, 1000)
        os.utime(path, (10**9 + number, 10**9 + number))
    two.program(two.toolchain / "var" / "cache" / "ldconfig" / "aux-cache", "other inodes")
    assert one.packs() == two.packs()


@on_linux
def test_another_byte_is_another_environment(dash_builder: Builder) -> None:
    before = dash_builder.packs()
    dash_builder.program(dash_builder.toolchain / "usr" / "lib" / "libLLVM.so.16", LIBRARY[::-1])
    assert dash_builder.packs().name != before.name


@pytest.mark.parametrize(
    "stray",
    [
        "usr/libexec/gcc/aarch64-linux-gnu/12/cc1",
        "usr/lib/cc1plus",
        "usr/bin/gcc-12",
        "usr/bin/aarch64-linux-gnu-gcc",
        "usr/bin/aarch64-linux-gnu-g++-12",
        "opt/bin/g++",
    ],
)
@on_linux
def test_another_compiler_inside_is_refused_and_nothing_is_left(
    dash_builder: Builder, stray: str
) -> None:
    """A worker of another architecture would silently make objects for its own with it."""
    dash_builder.program(dash_builder.toolchain / stray, "a real one")
    run = dash_builder.pack()
    assert run.returncode == 1
    assert "this would hold another compiler than clang: tree/" in run.stderr
    assert stray.rpartition("/")[2] in run.stderr or "tree/usr/libexec/gcc" in run.stderr
    dash_builder.assert_nothing()


@on_linux
def test_a_stray_takes_nothing_away_from_what_was_packed_before(dash_builder: Builder) -> None:
    before = dash_builder.packs()
    stamp = dash_builder.stamp.read_text()
    dash_builder.program(dash_builder.toolchain / "usr" / "bin" / "cc1", "a real one")
    assert dash_builder.pack("16.0.7+0f1e2d aaaaaaaaaaaa 1").returncode == 1
    assert dash_builder.made == [before]
    assert dash_builder.stamp.read_text() == stamp
    assert [it.name for it in dash_builder.envs.iterdir()] == [before.name]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("fails", "no such compiler\npack-environment: icecc-create-env failed"),
        ("silent", "pack-environment: icecc-create-env made no archive"),
    ],
)
@on_linux
def test_what_icecream_says_when_it_fails_is_said(builder: Builder, fault: str, said: str) -> None:
    (builder.root / fault).touch()
    run = builder.pack()
    assert run.returncode == 1
    assert said in run.stderr
    builder.assert_nothing()


@on_linux
def test_an_archive_without_the_compiler_is_none(builder: Builder) -> None:
    (builder.toolchain / "usr" / "bin" / "clang").unlink()
    run = builder.pack()
    assert run.returncode == 1
    assert "icecc-create-env packed no usr/bin/clang" in run.stderr
    builder.assert_nothing()


@on_linux
def test_without_a_compiler_it_is_said_where_it_was_looked_for(builder: Builder) -> None:
    (builder.root / "llvm" / "bin" / "clang").unlink()
    run = builder.pack()
    assert run.returncode == 1
    assert f"there is no clang 16 in {builder.root}/llvm" in run.stderr
    builder.assert_nothing()


@on_linux
def test_what_was_not_known_when_the_run_looked_is_not_packed(builder: Builder) -> None:
    run = builder.pack("16 unknown 1")
    assert run.returncode == 1
    assert "there was no clang 16 when this run looked" in run.stderr
    builder.assert_nothing()


@pytest.mark.parametrize("arguments", [("16.0.6", "0123456789ab"), ("a", "b", "c")])
@on_linux
def test_called_otherwise_it_says_how(dash_builder: Builder, arguments: tuple[str, ...]) -> None:
    run = dash_builder.pack(*arguments)
    assert run.returncode == 64
    assert 'usage: pack-environment "VERSION DIGEST RECIPE"' in run.stderr


def _generation(builder: Builder, number: int) -> Environment:
    builder.program(builder.toolchain / "usr" / "bin" / "clang", f"compiler {number}")
    return builder.packs(f"16.0.{number}+0f1e2d {number:012x} 1")


@on_linux
def test_the_newest_is_first_and_one_before_it_stays(builder: Builder) -> None:
    first, second = _generation(builder, 1), _generation(builder, 2)
    assert builder.made == [second, first]
    third = _generation(builder, 3)
    assert builder.made == [third, second]
    assert {it.name for it in builder.envs.iterdir()} == {third.name, second.name}, (
        "what nobody asks for any more is no longer there"
    )


@on_linux
def test_what_others_brought_is_left_alone(dash_builder: Builder) -> None:
    brought = dash_builder.envs / "x86_64-clang16.0.6-000000000000.tar.zst"
    brought.touch()
    mine = dash_builder.envs / "aarch64-clang16.0.6-000000000000.tar.zst"
    mine.touch()
    for number in range(3):
        _generation(dash_builder, number)
    assert brought.exists()
    assert mine.exists()


@on_linux
def test_the_same_once_more_is_one_record(builder: Builder) -> None:
    first = _generation(builder, 1)
    assert _generation(builder, 1) == first
    assert builder.made == [first]
    second = _generation(builder, 2)
    assert _generation(builder, 1) == first
    assert builder.made == [first, second], "back to the one before"
    assert {it.name for it in builder.envs.iterdir()} == {first.name, second.name}


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@on_linux
def test_an_interrupted_one_leaves_nothing(builder: Builder, way: signal.Signals) -> None:
    (builder.root / "hang").touch()
    command = [*builder.shell, str(builder.script), ASKED]
    # The group gets the signal, as from a terminal or a connection that ends.
    packing = subprocess.Popen(
        command, start_new_session=True, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 10
        while not (builder.root / "hanging").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert list(builder.envs.glob(".packing.*"))
        os.killpg(packing.pid, way)
        assert packing.wait(10) != 0
    finally:
        packing.kill()
        packing.communicate()
    builder.assert_nothing()


@on_linux
def test_a_disk_that_is_full_at_the_last_step_leaves_nothing(dash_builder: Builder) -> None:
    dash_builder.program(dash_builder.root / "bin" / "zstd", "#!/bin/sh\nexit 1\n")
    assert dash_builder.pack().returncode == 1
    dash_builder.assert_nothing()


def test_the_script_is_checked_before_it_replaces_another() -> None:
    (file,) = environments.resources(view(PI)).files
    assert file.check == "sh -n {path}"
    assert file.mode == "0755"
    assert shlex.split(environments.resources(view(PI)).builds[0].script) == [file.path]


@on_linux
def test_one_that_went_is_packed_again_under_its_name(builder: Builder) -> None:
    before = builder.packs()
    (builder.envs / before.name).unlink()
    assert builder.packs() == before
    assert builder.made == [before]
    assert (builder.envs / before.name).exists()


def test_a_look_asks_for_it_and_reads_none_of_it() -> None:
    asked = probes(wanted(view(PI)), mac=False, state_dir="/s")
    (paths,) = [probe for probe in asked if isinstance(probe, PathsProbe)]
    (build,) = environments.resources(view(PI)).builds
    assert build.makes in paths.paths
    assert build.makes in paths.unread
