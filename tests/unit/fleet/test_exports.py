"""`fleet env`: what a shell is told; what is left out for want of trust."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fleet import cli
from fleet.commands import session
from fleet.exports import Exports, exports
from fleet.kinds import Sudo
from fleet.model import Fleet
from tests.unit.fleet.compilers import equipped

X86 = "x86_64:/opt/icecc-envs/x86_64-clang16.0.6-aaaaaaaaaaaa.tar.zst"
ARM = "aarch64:/opt/icecc-envs/aarch64-clang16.0.6-bbbbbbbbbbbb.tar.zst"
Capture = pytest.CaptureFixture[str]


def trusting(fleet: Fleet, *distrusted: str) -> Fleet:
    """The fleet with full sudo for the agents of some hosts, and of no others."""
    hosts = tuple(
        host.model_copy(
            update={
                "agent": host.agent.model_copy(
                    update={
                        "enabled": True,
                        "sudo": Sudo.FULL if host.name in distrusted else Sudo.NONE,
                    }
                )
            }
        )
        for host in fleet.hosts
    )
    return fleet.model_copy(update={"hosts": hosts})


def of(fleet: Fleet, name: str, triple: str = "", **how: Any) -> Exports:
    return exports(fleet, fleet.host(name), triple, **how)


def test_everything_that_there_is(fleet_file: Path) -> None:
    found = of(equipped(fleet_file), "win")
    assert found.variables == {
        "CC": "clang",
        "CXX": "clang++",
        "ICECC_VERSION": f"{X86},{ARM}",
        "CCACHE_PREFIX": "icecc",
        "CCACHE_COMPILERCHECK": "%compiler% --version",
    }
    assert found.remarks == ()


def test_another_target(fleet_file: Path) -> None:
    found = of(equipped(fleet_file), "win", "aarch64-linux-gnu").variables
    assert found["CC"] == "clang --target=aarch64-linux-gnu"
    assert found["CXX"] == "clang++ --target=aarch64-linux-gnu"


def test_a_shell_takes_it(fleet_file: Path) -> None:
    found = of(equipped(fleet_file, without=("boss",)), "boss", "aarch64-linux-gnu")
    script = f'{found.lines}\nprintf "%s|" "$PATH" "$CC" "${{ICECC_VERSION-none}}"'
    shell = subprocess.run(
        ["sh", "-euc", script],
        env={"PATH": "/usr/bin:/a b", "ICECC_VERSION": "old"},
        capture_output=True,
        text=True,
        check=True,
    )
    first = "/opt/agentfleet/compilers:/usr/bin:/a b"
    assert shell.stdout == f"{first}|clang --target=aarch64-linux-gnu|none|"
    assert "# it compiles at home: it has no clang 16" in found.lines


def test_one_untrusted_worker_spoils_its_platform(fleet_file: Path) -> None:
    fleet = trusting(equipped(fleet_file), "berry")
    found = of(fleet, "win", trusted_only=True)
    assert found.variables["ICECC_VERSION"] == X86
    assert "ICECC" not in found.variables
    assert "AGENTFLEET_GCC" not in found.variables, "gcc goes to x86_64 alone"
    (remark,) = found.remarks
    assert remark.startswith("no job goes to aarch64 workers: not trusted: berry")
    assert of(fleet, "win").variables["ICECC_VERSION"] == f"{X86},{ARM}"


def test_gcc_stays_at_home_when_its_platform_is_spoiled(fleet_file: Path) -> None:
    fleet = trusting(equipped(fleet_file), "boss")
    found = of(fleet, "win", trusted_only=True)
    assert found.variables["ICECC_VERSION"] == ARM
    assert found.variables["AGENTFLEET_GCC"] == "home"
    assert any("gcc compiles at home" in remark for remark in found.remarks)
    assert "AGENTFLEET_GCC" not in of(fleet, "mac", trusted_only=True).variables


def test_nothing_leaves_when_no_platform_is_left(fleet_file: Path) -> None:
    fleet = trusting(equipped(fleet_file), "boss", "berry")
    found = of(fleet, "win", trusted_only=True)
    assert found.variables["ICECC"] == "disable"
    assert found.unset == ("ICECC_VERSION",)


def test_a_host_does_not_distrust_itself(fleet_file: Path) -> None:
    fleet = trusting(equipped(fleet_file), "berry")
    assert of(fleet, "berry", trusted_only=True).remarks == ()


# the command


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, fleet_file: Path) -> None:
    class Target:
        fleet = equipped(fleet_file, without=("boss",))

    monkeypatch.setattr(session.Session, "target", lambda _: Target)


@pytest.mark.usefixtures("here")
def test_what_is_lacking_is_said_beside_the_exports(capsys: Capture) -> None:
    assert cli.main(["env", "boss"]) == 0
    said = capsys.readouterr()
    assert "boss: it compiles at home: it has no clang 16" in said.err
    assert 'export PATH=/opt/agentfleet/compilers:"$PATH"\n' in said.out
    assert cli.main(["env", "boss", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["first_on_path"] == "/opt/agentfleet/compilers"
    assert found["variables"]["CC"] == "clang"
    assert found["remarks"] == ["it compiles at home: it has no clang 16"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["bos"], 1, 'did you mean "boss"?'),
        (["boss", "--target", "x; rm"], 64, "is no target triple"),
        (["boss", "--target", "$(id)-linux-gnu"], 64, "is no target triple"),
    ],
)
def test_wrong_words(capsys: Capture, words: list[str], code: int, said: str) -> None:
    assert cli.main(["env", *words]) == code
    assert said in capsys.readouterr().err


def test_a_fleet_without_a_compiler(
    monkeypatch: pytest.MonkeyPatch, fleet_file: Path, capsys: Capture
) -> None:
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    assert cli.main(["env", "boss"]) == 1
    assert cli.main(["compile-check"]) == 1
    assert capsys.readouterr().err.count("has no compiler in common") == 2
