"""What is rendered is sound in its own language: shell, plist, unit, PKGBUILD, newsyslog."""

from __future__ import annotations

import json
import plistlib
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from facts.look import Look
from facts.paths import PathsProbe
from facts.probe import compose
from facts.services import ServicesProbe, ServiceState
from facts.system import System
from facts.tailnet import Tailnet
from facts.windows import HANDLER, Windows
from fleet.daemons import HARDENING
from fleet.drift import differences
from fleet.plan import context_of, wanted
from fleet.resources import File, Manager
from fleet.view import HostView
from operations import (
    artifacts,
    builds,
    files,
    leftovers,
    packages,
    programs,
    services,
    settings,
    tailnet,
    users,
    windows,
)
from operations.change import Change, wrap
from operations.manifest import manifest
from tests.golden import consoles, views
from tests.golden import files as files_of

SHELLCHECK = Path(sys.executable).with_name("shellcheck")
EXCLUDED = {
    "SC1091": "os-release is the host's",
    "SC2034": "the counter of a bounded retry loop is not used",
    "SC2041": "a list of one path with a space in it is a list",
    "SC2043": "a list of one service is a list",
}
# Whatever state leads to a script of its own.
NODES = (
    Tailnet(),
    Tailnet("/usr/bin/tailscale", joined=True),
    Tailnet("/usr/bin/tailscale", state="Stopped"),
    Tailnet("/usr/bin/tailscale", state="Running", ipv4="100.101.0.9", dns_name="other.ts.net"),
)
WINDOWS = (
    Windows(socket="/run/WSL/1_interop", elevated=True, build=22631, installer="winget"),
    Windows(fault=HANDLER),
)
UNIT_MAY_REPEAT = {"Environment", "ExecStartPre"}


def _every(suffix: str) -> list[tuple[str, File]]:
    """Each distinct file of that kind, with the name of the first host that has it."""
    found: dict[tuple[str, bytes], tuple[str, File]] = {}
    for name, view in views().items():
        for file in files_of(view):
            if file.path.endswith(suffix):
                found.setdefault((file.path, file.content), (name, file))
    return list(found.values())


def _ids(cases: list[tuple[str, File]]) -> list[str]:
    return [f"{name}:{Path(file.path).name}" for name, file in cases]


def _bare(view: HostView, manager: Manager | None) -> Look:
    """A host on which nothing is there yet."""
    asked = context_of("look", view).asked
    paths = next(probe for probe in asked if isinstance(probe, PathsProbe))
    units = next(probe for probe in asked if isinstance(probe, ServicesProbe))
    everything = wanted(view).values()
    return Look(
        system=System(
            kernel="Darwin" if view.host.is_mac else "Linux",
            manager=manager,
            addresses=frozenset({view.host.addresses.tailnet or ""}),
        ),
        services={name: ServiceState() for name in units.names},
        values={setting.name: "" for want in everything for setting in want.settings},
        asked_paths=frozenset(paths.paths),
    )


def _managers(view: HostView) -> tuple[Manager, ...]:
    if view.host.is_mac:
        return (Manager.BREW, Manager.PORT)
    return (Manager.PACMAN,) if view.host.os == "arch" else (Manager.APT,)


def _changes(view: HostView, look: Look) -> Iterator[Change | None]:
    """All that a first run does, and a goodbye to everything."""
    for name, want in wanted(view).items():
        context = context_of(name, view)
        yield services.plan_masks(want.masked, look)
        yield packages.plan(want.packages, look)
        yield users.plan(want.users, context, look)
        yield files.plan(want, context, look)
        yield settings.plan(want.settings, look)
        yield services.plan(want.services, context, look)
        for node in NODES:
            yield tailnet.plan(want, context, replace(look, tailnet=node), lambda name: "key")
        yield programs.plan(want, context, look)
        for found in WINDOWS:
            yield windows.plan(want, replace(look, windows=found))
        for build in want.builds:
            yield builds.plan(build, look)
            if build.artifact is None:
                continue
            receipt = artifacts.receive(build.artifact, "/tmp/parcel", context)  # noqa: S108
            yield Change(("artifact",), receipt)
            pull = artifacts.pull(build.artifact, "http://192.0.2.1:80", context)
            yield Change(("artifact pulled",), pull)
    carried = {f"old-{name}": manifest(name, want) for name, want in wanted(view).items()}
    nobody = context_of("leftovers", view)
    empty = type(nobody)("leftovers", nobody.mac, nobody.state_dir, nobody.asked)
    yield leftovers.plan(frozenset(), empty, Look(manifests=carried))


@cache
def _scripts() -> Mapping[str, bytes]:
    """Every script that reaches a host or is sent to it, each distinct one once, by what it is."""
    found: dict[bytes, str] = {}
    for name, view in views().items():
        for file in files_of(view):
            if file.content.startswith(b"#!/bin/sh"):
                found.setdefault(file.content, f"{name}{file.path}")
            if file.check:
                check = f"#!/bin/sh\n{file.check.replace('{path}', '/staged')}\n"
                found.setdefault(check.encode(), f"{name}{file.path}.check")
        look = "#!/bin/sh\n" + compose(context_of("look", view).asked)
        found.setdefault(look.encode(), f"{name}/look")
        for manager in _managers(view):
            for number, change in enumerate(_changes(view, _bare(view, manager))):
                if change and change.script:
                    script = f"#!/bin/sh\n{wrap(change.script)}".encode()
                    found.setdefault(script, f"{name}/{manager.value}-{number}-{change.says[0]}")
    return {re.sub(r"[^A-Za-z0-9.-]+", "_", what): script for script, what in found.items()}


def test_every_kind_of_script_is_among_those_checked() -> None:
    names = " ".join(_scripts())
    kinds = ("stamp", "with-interface", "look", "build", "apt-", "pacman-", "brew-", "port-")
    kept = ("program_claude-code", "artifact_pulled", "bin_claude")
    for kind in (
        *kinds,
        *kept,
        "tailnet_join",
        "tailnet_wait",
        "tailnet_connect",
        "tailnet_name",
        "file_etc_wsl.conf",
    ):
        assert kind in names
    assert len(_scripts()) > 40


@pytest.mark.parametrize("shell", ["dash", "bash --posix"])
def test_scripts_parse(shell: str) -> None:
    if not shutil.which(shell.split()[0]):
        pytest.skip(f"there is no {shell} here")
    for name, script in _scripts().items():
        run = subprocess.run([*shell.split(), "-n"], input=script, capture_output=True, check=False)
        assert (run.returncode, run.stderr) == (0, b""), name


def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    for name, script in _scripts().items():
        (tmp_path / name).write_bytes(script)
    paths = sorted(tmp_path.iterdir())
    half = len(paths) // 2
    running = [
        subprocess.Popen(
            [SHELLCHECK, "-s", "sh", "-f", "gcc", "-e", ",".join(EXCLUDED), *chosen],
            stdout=subprocess.PIPE,
            text=True,
        )
        for chosen in (paths[:half], paths[half:])
    ]
    said = "".join(process.communicate(timeout=60)[0] for process in running)
    assert said.replace(f"{tmp_path}/", "") == ""


def test_shellcheck_finds_nothing_in_the_scripts_for_consoles() -> None:
    excluded = {
        **EXCLUDED,
        "SC2329": "functions are called by the names that another one is given",
    }
    for name, text in consoles().items():
        if name.endswith(".sh"):
            run = subprocess.run(
                [SHELLCHECK, "-f", "gcc", "-e", ",".join(excluded), "-"],
                input=text, capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            assert run.stdout == "", name


PLISTS = _every(".plist")


@pytest.mark.parametrize(("name", "file"), PLISTS, ids=_ids(PLISTS))
def test_plists_are_complete_launch_daemons(name: str, file: File) -> None:
    job = plistlib.loads(file.content)
    assert f"{job['Label']}.plist" == Path(file.path).name
    assert (file.mode, file.owner, file.group) == ("0644", "root", "0"), "launchd refuses others"
    assert {"ProgramArguments", "RunAtLoad", "KeepAlive", "EnvironmentVariables"} <= job.keys()
    assert all(isinstance(word, str) for word in job["ProgramArguments"])
    assert job["ProgramArguments"][0].startswith("/")
    assert all(entry.startswith("/") for entry in job["EnvironmentVariables"]["PATH"].split(":"))
    for stream in ("StandardOutPath", "StandardErrorPath"):
        assert job[stream].startswith("/var/log/")


UNITS = _every(".service")


@pytest.mark.parametrize(("name", "file"), UNITS, ids=_ids(UNITS))
def test_units_say_what_they_mean(name: str, file: File) -> None:
    sections = _unit(file.content.decode())
    runs_once = ("Type", "oneshot") in sections["Service"]  # its timer is installed instead
    assert list(sections) == ["Unit", "Service", *([] if runs_once else ["Install"])]
    for section, lines in sections.items():
        counts = Counter(key for key, _ in lines)
        repeated = {key for key, count in counts.items() if count > 1} - UNIT_MAY_REPEAT
        assert not repeated, f"[{section}] of {file.path}"
        for key, value in lines:
            if key != "MemoryMax":  # where it means a share of the machine's
                assert not re.search(r"%(?!%)", value.replace("%%", "")), f"{key}: a specifier"
            if key.startswith("Exec"):
                assert re.match(r"\+?/", value), f"{key} is not absolute"
                assert not re.search(r"\$(?!\$)", value.replace("$$", "")), f"{key}: a variable"


def _unit(text: str) -> dict[str, list[tuple[str, str]]]:
    sections: dict[str, list[tuple[str, str]]] = {}
    for line in text.splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            current = sections.setdefault(match[1], [])
        elif line and not line.startswith("#"):
            key, value = line.split("=", 1)
            assert re.fullmatch(r"[A-Z][A-Za-z]+", key), line
            current.append((key, value))
    return sections


def test_every_exception_from_hardening_has_its_reason() -> None:
    for _, file in UNITS:
        lines = file.content.decode().splitlines()
        after_environment = max(i for i, line in enumerate(lines) if "Environment=" in line) + 1
        end = lines.index("[Install]") if "[Install]" in lines else len(lines)
        hardening = lines[after_environment:end]
        plain = {f"{key}={value}" for key, value in HARDENING.items()}
        for number, line in enumerate(hardening):
            if line and not line.startswith("#") and line not in plain:
                assert hardening[number - 1].startswith("# "), f"{file.path}: {line}"
        keys = {line.split("=")[0] for line in hardening}
        if not any(line.startswith("# Not hardened: ") for line in hardening):
            assert HARDENING.keys() <= keys, file.path


@pytest.mark.parametrize(("name", "file"), _every("PKGBUILD"))
def test_pkgbuilds_parse_and_pin_their_source(name: str, file: File) -> None:
    run = subprocess.run(["bash", "-n"], input=file.content, capture_output=True, check=False)
    assert (run.returncode, run.stderr) == (0, b"")
    printed = subprocess.run(
        ["bash", "-c", 'source /dev/stdin; echo "$pkgname $pkgver ${#source[@]} ${sha256sums[*]}"'],
        input=file.content,
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert re.fullmatch(r"icecream \S+ 1 [0-9a-f]{64}\n", printed)


ROTATIONS = [(n, f) for n, f in _every(".conf") if f.path.startswith("/etc/newsyslog.d/")]


@pytest.mark.parametrize(("name", "file"), ROTATIONS)
def test_newsyslog_lines_have_their_fields(name: str, file: File) -> None:
    lines = [line.split() for line in file.content.decode().splitlines() if line[0] != "#"]
    assert lines
    for path, mode, count, size, when, flags, *whom in lines:
        assert path.startswith("/var/log/")
        assert re.fullmatch(r"[0-7]{3}", mode)
        assert count.isdigit()
        assert size.isdigit()
        assert when == "*"
        assert set(flags) <= set("BCDGJNUWZ-")
        if "N" not in flags:  # nobody is told
            pidfile, signal = whom
            assert pidfile.startswith("/var/run/")
            assert signal.isdigit()


JSONS = _every(".json")


@pytest.mark.parametrize(("name", "file"), JSONS, ids=_ids(JSONS))
def test_json_is_json(name: str, file: File) -> None:
    assert isinstance(json.loads(file.content), dict)


def test_what_is_managed_says_so() -> None:
    for name, view in views().items():
        for file in files_of(view):
            kinds = Path(file.template.removesuffix(".j2")).suffix
            if file.secret or kinds in (".asc", ".json") or b"\0" in file.content:
                continue  # which know no comments
            head = b"\n".join(file.content.splitlines()[:4])
            assert b"Managed by agentfleet (templates/" in head, f"{name}: {file.path}"


def test_a_bare_host_differs_in_everything() -> None:
    for name, view in views().items():
        for manager in _managers(view):
            said = "\n".join(differences(view, _bare(view, manager)))
            for file in files_of(view):
                assert f"file {file.path}: create" in said, name
            joins = f"tailnet: join under the name {name}"
            assert (joins in said) is not name.startswith("windows-")


def test_an_address_that_is_not_known_yet_is_a_difference() -> None:
    view = views()["rpi1"]
    for address, new in (("100.101.0.9", True), (view.host.addresses.tailnet or "", False)):
        node = Tailnet(
            "/usr/bin/tailscale",
            state="Running",
            dns_name="rpi1.example.ts.net",
            ipv4=address,
            ipv6=view.host.addresses.tailnet6 or "",
            tags=("tag:pi",),
        )
        found = differences(view, replace(_bare(view, Manager.APT), tailnet=node))
        said = [line for line in found if line.startswith("its address")]
        words = f"its address in the tailnet is {address}, noted in fleet.lock.yaml"
        assert said == [words] * new
