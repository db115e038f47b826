"""Completion as shells ask for it: what is offered, nothing when anything is wrong, and quickly."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fleet import cli
from tests.unit.fleet.conftest import put

ROOT = Path(__file__).resolve().parents[3]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _environment(fleet_file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))


def offered(line: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What bash is offered for the last word of a line, which may be empty."""
    words = line.split(" ")
    with monkeypatch.context() as patch:
        patch.setenv("_FLEET_COMPLETE", "bash_complete")
        patch.setenv("COMP_WORDS", line)
        patch.setenv("COMP_CWORD", str(len(words) - 1))
        patch.setattr(cli, "_silence", lambda stream: None)  # pytest has the stream already
        cli.main([])
    said = capsys.readouterr()
    assert said.err == ""
    return [one.partition(",")[2] for one in said.out.splitlines() if one]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fleet st", ["status"]),
        ("fleet --l", ["--lab"]),
        ("fleet logs ", ["boss", "mac", "berry", "win"]),
        ("fleet --lab ssh b", ["boss", "berry"]),
        ("fleet logs mac ", ["tailscaled", "wall", "iceccd"]),
        ("fleet restart boss ga", ["gateway"]),
        ("fleet restart mac ga", []),
        ("fleet logs mac wall --si", ["--since"]),
        ("fleet kill boss m", ["mac"]),
        ("fleet kill boss b", ["berry"]),
        ("fleet task sen", ["send"]),
        ("fleet task send hello --role pi", ["pi"]),
        ("fleet task send hello --host=w", ["win"]),
        ("fleet completion z", ["zsh"]),
        ("fleet pin claude", ["claude-code"]),
        ("fleet revoke ", []),
    ],
)
def test_what_is_offered(
    line: str, words: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offered(line, capsys, monkeypatch) == words


def shell(line: str, kind: str = "bash") -> subprocess.CompletedProcess[str]:
    words = line.split(" ")
    env = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    if kind == "fish":
        env = {"COMP_WORDS": line, "COMP_CWORD": words[-1]}
    return subprocess.run(
        [sys.executable, "-m", "fleet"],
        cwd=ROOT,
        env={**os.environ, **env, "_FLEET_COMPLETE": f"{kind}_complete"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_verb_that_is_none() -> None:
    done = shell("fleet nonsense ")
    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.parametrize("text", ["", "hosts: [", "version: 1\nhosts: 7", "\x00"])
def test_a_broken_file_is_no_news(text: str, fleet_file: Path) -> None:
    fleet_file.write_text(text)
    for line in ("fleet logs ", "fleet logs mac "):
        done = shell(line)
        assert (done.stdout.strip(), done.stderr) == ("", "")


def test_a_file_that_is_being_edited(fleet_file: Path) -> None:
    """One that is not valid has hosts all the same."""
    fleet_file.write_text(fleet_file.read_text().replace("role: pi,", "role: po,"))
    assert "plain,berry" in shell("fleet ssh ").stdout


def test_other_shells_are_told_what_verbs_do() -> None:
    assert "status\nLook at every host" in shell("fleet stat", "zsh").stdout
    assert "status\tLook at every host" in shell("fleet stat", "fish").stdout


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_script(name: str, capsys: Capture) -> None:
    assert cli.main(["completion", name]) == 0
    out = capsys.readouterr().out
    assert f"_FLEET_COMPLETE={name}_complete" in out


def test_in_a_real_bash(programs: Path) -> None:
    bash = shutil.which("bash")
    if not bash:
        pytest.skip("there is no bash here")
    put(programs, "fleet", f'cd {ROOT} && exec {sys.executable} -m fleet "$@"')
    script = """eval "$(fleet completion bash)"
COMP_WORDS=(fleet logs mac wa) COMP_CWORD=3
name=$(complete -p fleet | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$name fleet
echo "${COMPREPLY[@]}" """
    command = [bash, "--norc", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("wall\n", "")


@pytest.mark.parametrize(
    ("line", "left_out"),
    [
        ("fleet st", ("pydantic", "pyinfra", "yaml", "rich")),
        ("fleet ssh b", ("pyinfra",)),
        ("fleet logs mac wa", ("pyinfra", "paramiko")),
    ],
)
def test_it_is_quick(line: str, left_out: tuple[str, ...]) -> None:
    """What takes long to import is not; the clock would tell more of the machine than of this."""
    code = f"""
import os, sys
os.environ.update(_FLEET_COMPLETE="bash_complete", COMP_WORDS={line!r},
                  COMP_CWORD=str(len({line!r}.split(" ")) - 1))
from fleet import cli
assert cli.main([]) == 0
print("imported:", *(name for name in {left_out!r} if name in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "imported:", done.stdout
    assert "plain," in done.stdout


def test_no_verb_waits_for_pyinfra() -> None:
    """Runs import it, in a process of their own, and looks once they know what they look at."""
    code = """
import importlib, sys
from fleet.cli import VERBS
for verb in VERBS.values():
    importlib.import_module(verb.where.partition(":")[0])
    assert "pyinfra" not in sys.modules, verb.where
print(len(VERBS))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{len(cli.VERBS)}\n", done.stderr
