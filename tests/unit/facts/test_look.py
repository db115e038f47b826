"""One look: composed, run on this machine, taken apart; and the smaller probes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts.look import Look, interpret, probes
from facts.looking import Looked, forget, look
from facts.manifests import Entry, Manifest, ManifestsProbe
from facts.packages import PackagesProbe
from facts.probe import Probe, compose, split
from facts.system import System, SystemProbe
from facts.users import UsersProbe
from facts.values import ValuesProbe
from fleet.resources import Directory, File, Manager, Package, Resources, Setting, User
from tests.unit.conftest import SHELLS, FakeProgram, on_linux


def sh(script: str, path: str = "/usr/sbin:/usr/bin:/sbin:/bin", shell: str = "dash") -> list[str]:
    run = subprocess.run(
        [*SHELLS[shell], "-s"],
        input=script,
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,  # nor does the look's exit code count
    )
    assert run.stderr == ""
    return run.stdout.splitlines()


@on_linux
@pytest.mark.parametrize("shell", SHELLS)
def test_a_whole_look_at_this_machine(tmp_path: Path, shell: str) -> None:
    there = tmp_path / "there"
    there.write_text("old\n")
    want = Resources(
        packages=(Package("surely-no-such-package"), Package("dash")),
        users=(User("root"), User("surely-nobody")),
        directories=(Directory(str(tmp_path)),),
        files=(File(str(there), b"new\n", "t"), File(f"{tmp_path}/absent", b"", "t")),
        settings=(Setting("answer", "42", "echo 42", "true"), Setting("none", "x", "false", "")),
    )
    (tmp_path / "manifests").mkdir()
    manifest = Manifest.of("cap", [Entry("file", str(there), "t", "0" * 64)])
    (tmp_path / "manifests" / "cap.json").write_bytes(manifest.dump().rstrip(b"\n"))
    (tmp_path / "manifests" / "torn.json").write_text('{"format": 1, "capab')
    asked = probes({"cap": want}, mac=False, state_dir=str(tmp_path))
    seen = interpret(asked, sh(compose(asked), shell=shell))
    assert seen.system.kernel == "Linux"
    assert seen.users == {"root"}
    assert (seen.value("answer"), seen.value("none")) == ("42", "")
    assert "surely-no-such-package" not in seen.packages
    state = seen.path(str(there))
    assert state
    assert state.shown == b"old\n"
    assert seen.path(f"{tmp_path}/absent") is None
    assert seen.manifests == {"cap": manifest}, "a torn one counts as absent"


def test_what_nobody_announced_raises() -> None:
    seen = interpret(*_empty())
    for question in (seen.path, seen.service, seen.value):
        with pytest.raises(LookupError, match="nobody looked at"):
            question("/etc/passwd")


def _empty() -> tuple[tuple[Probe, ...], list[str]]:
    asked = probes({}, mac=False, state_dir="/nonexistent")
    return asked, sh(compose(asked))


class Looking:
    """A host that answers every look, and may do something meanwhile; counts them."""

    name = "rpi1"

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.looks, self._meanwhile = 0, meanwhile

    def get_fact(self, fact: type[Looked], _stdin: str) -> list[str]:
        self.looks += 1
        self._meanwhile()
        said = subprocess.run(["sh"], input=_stdin, capture_output=True, text=True, check=True)
        return said.stdout.splitlines()


def asking(path: str) -> tuple[Probe, ...]:
    want = {"cap": Resources(directories=(Directory(path),))}
    return probes(want, mac=False, state_dir="/nonexistent")


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facts.looking._remembered", {})


@pytest.mark.usefixtures("memory")
@on_linux
def test_a_host_is_looked_at_once_for_the_same_question() -> None:
    host: Any = Looking()
    assert look(host, asking("/etc")) is look(host, asking("/etc"))
    assert host.looks == 1
    assert look(host, asking("/usr")).path("/usr") is not None
    assert host.looks == 2


@pytest.mark.usefixtures("memory")
@on_linux
def test_a_look_that_was_under_way_when_the_question_changed_answers_no_other() -> None:
    """Another host tells something while this one is looked at, so more is wanted here."""
    host: Any = Looking(lambda: forget(host))
    look(host, asking("/etc"))
    assert look(host, asking("/usr")).path("/usr") is not None


def test_a_host_without_capabilities_can_be_looked_at() -> None:
    seen = interpret(*_empty())
    assert isinstance(seen, Look)
    assert seen.paths == {}


def test_a_look_that_ended_early_is_an_error() -> None:
    asked, output = _empty()
    for cut in (output[:-1], [], Looked.default()):
        with pytest.raises(ValueError, match="the look ended early"):
            interpret(asked, cut)


def test_a_probe_cannot_swallow_the_rest_of_the_script() -> None:
    probe = ValuesProbe((Setting("greedy", "", "cat; echo done", ""),))
    assert probe.parse(split(sh(compose((probe,))))["values"]) == {"greedy": "done"}


# system


def test_system() -> None:
    lines = "kernel=Linux\nmachine=aarch64\ndistribution=debian\nmanager=apt\nuserland=armhf\n"
    assert SystemProbe().parse(f"{lines}container=none".splitlines()) == System(
        "Linux", "aarch64", "debian", Manager.APT, "armhf", ""
    )
    assert SystemProbe().parse(["container=wsl"]).container == "wsl"
    assert SystemProbe().parse(["manager="]).manager is None


# packages


def ask_packages(directory: Path, manager: Manager, *packages: Package) -> dict[str, str]:
    probe = PackagesProbe(packages, (manager,))
    script = f"manager={manager.value}\n{probe.script()}"
    return dict(probe.parse(sh(script, f"{directory}:/usr/bin:/bin")))


def test_packages_of_pacman(program: FakeProgram) -> None:
    body = "echo 'error: package x was not found' >&2; echo 'git 2.47.0-1'; exit 1"
    program("pacman", body.replace(">&2", ">/dev/null"))
    directory = program("unused", "")
    assert ask_packages(directory, Manager.PACMAN, Package("git")) == {"git": "2.47.0-1"}


def test_packages_of_apt_are_installed_ones_only(program: FakeProgram) -> None:
    directory = program(
        "dpkg-query",
        "printf 'installed git 1:2.39.5-0\\nconfig-files jq 1.6\\ninstalled g++ 4:12.2\\n'",
    )
    seen = ask_packages(directory, Manager.APT, Package("git"), Package("jq"), Package("g++"))
    assert seen == {"git": "1:2.39.5-0", "g++": "4:12.2"}


def test_packages_of_port_are_active_ones_only() -> None:
    probe = PackagesProbe((Package("git"),), (Manager.PORT,))
    printed = "  git @2.43.0_0+diff (active)\n  git @2.42.0_0\n  jq @1.7_1 (active) platform=x\n"
    script = probe.script().replace("/opt/local/bin/port -q installed git", "cat <<'E'", 1)
    (case,) = [line for line in script.splitlines() if "cat" in line]
    case = case.removeprefix("port) ").removesuffix(" ;;")
    assert probe.parse(sh(f"{case}\n{printed}E\n")) == {"git": "2.43.0_0+diff", "jq": "1.7_1"}


def test_packages_that_a_manager_lacks_are_not_asked_for() -> None:
    package = Package("x", {Manager.APT: None})
    assert "x" not in PackagesProbe((package,), (Manager.APT,)).script().split()
    sh(f"manager=apt\n{PackagesProbe((package,), (Manager.APT,)).script()}")


# manifests

ENTRIES = st.builds(
    Entry,
    kind=st.sampled_from(["file", "directory", "service", "mask"]),
    name=st.text(st.characters(exclude_categories=["Cs"])),
    origin=st.text(st.characters(exclude_categories=["Cs"])),
    sha256=st.text("0123456789abcdef", max_size=64),
)


@given(st.lists(ENTRIES, max_size=6), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_manifest_comes_back_as_it_was_kept(entries: list[Entry], capability: str) -> None:
    manifest = Manifest.of(capability, entries)
    text = manifest.dump().decode()
    assert Manifest.load(text) == manifest
    assert Manifest.of(capability, reversed(entries * 2)).dump() == manifest.dump()
    assert all(line.isascii() for line in text.splitlines()), "an entry a line, for any terminal"
    assert len(text.splitlines()) == len(manifest.entries) + 2 + (not manifest.entries)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"format": 2, "capability": "c", "entries": []}',
        '{"format": 1, "capability": "c", "entries": [{"kind": "file"}]}',
        '{"format": 1, "capability": "c", "entries": [{"kind": "f", "name": "n", "new": 1}]}',
        '{"format": 1, "capability": "c", "entries": 3}',
    ],
)
def test_what_is_no_manifest_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Manifest.load(text)


def test_manifests_in_a_directory_with_a_space(tmp_path: Path) -> None:
    directory = tmp_path / "a b"
    directory.mkdir()
    kept = {name: Manifest.of(name, [Entry("file", f"/{name}")]) for name in ("one", "two")}
    for name, manifest in kept.items():
        (directory / f"{name}.json").write_bytes(manifest.dump())
    probe = ManifestsProbe(str(directory))
    assert probe.parse(sh(probe.script())) == kept
    assert ManifestsProbe("/nonexistent").parse(sh(ManifestsProbe("/nonexistent").script())) == {}


# users, values


def test_no_users() -> None:
    assert UsersProbe(()).parse(sh(compose((UsersProbe(()),)))[1:-1]) == frozenset()


def test_values_keep_their_tabs_and_quotes() -> None:
    probe = ValuesProbe((Setting("a'b", "", "printf 'x\\ty \"z\"'", ""),))
    assert probe.parse(sh(probe.script())) == {"a'b": 'x\ty "z"'}
