"""`fleet ssh`: it becomes ssh, with the route and the host keys that runs use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fleet import cli
from fleet.hostkeys import pin
from tests.unit.fleet.conftest import put

ROOT = Path(__file__).resolve().parents[3]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA8h9vbYdd4ee3l5vNmkGH3MD3QG6H9mrbLQJ3U4V3mP"
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _environment(on_this_machine: Path, fleet_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    pin(fleet_file.with_name("fleet.lock.yaml"), "berry", KEY)


def fleet(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fleet", *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_own_output_and_exit_code(on_this_machine: Path) -> None:
    put(on_this_machine, "ls", 'echo "ls $*"; exit 7')
    for words in (("--", "ls", "-l"), ("ls", "-l"), ("ls -l",), ("--", "cd / && ls -l")):
        done = fleet("ssh", "berry", *words)
        assert (done.returncode, done.stdout, done.stderr) == (7, "ls -l\n", "")


def test_the_way_that_runs_take(on_this_machine: Path, cache: Path) -> None:
    fleet("ssh", "berry", "true")
    asked = (on_this_machine / "asked").read_text()
    assert asked.endswith("admin@10.0.0.3 -- true\n")
    assert f"UserKnownHostsFile={cache}/known_hosts/berry" in asked
    assert "HostKeyAlias=berry" in asked
    assert "BatchMode=yes" in asked
    assert " -t " not in asked


def test_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command gets a terminal there, and a key may ask for its passphrase."""
    became: list[list[str]] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("os.execvp", lambda _, argv: became.append(argv))
    cli.main(["ssh", "berry", "--", "top"])
    cli.main(["ssh", "berry"])
    assert [argv.count("-t") for argv in became] == [1, 0], "a shell gets one from ssh itself"
    assert all("BatchMode=no" in argv for argv in became)
    assert all("StrictHostKeyChecking=yes" in argv for argv in became)


def test_a_host_whose_key_nobody_pinned() -> None:
    assert "run fleet trust boss" in fleet("ssh", "boss", "true").stderr


def test_a_host_that_is_not_in_the_fleet(capsys: Capture) -> None:
    assert cli.main(["ssh", "bery"]) == 1
    assert 'did you mean "berry"?' in capsys.readouterr().err


def test_its_own_help_and_not_the_commands(capsys: Capture) -> None:
    assert cli.main(["ssh", "--help"]) == 0
    assert "Usage: fleet ssh" in capsys.readouterr().out
    assert fleet("ssh", "berry", "--", "echo", "--help").stdout == "--help\n"
