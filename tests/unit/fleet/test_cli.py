"""The `fleet` command as a user meets it: output, messages, exit codes."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from rich.console import Console

from fleet import cli
from fleet.commands.hosts import fitting_table
from fleet.model import load_fleet

ROOT = Path(__file__).resolve().parents[3]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _environment(fleet_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))


def test_validate_a_good_file(capsys: Capture) -> None:
    assert cli.main(["validate"]) == 0
    assert capsys.readouterr() == ("fleet.yaml: 4 hosts, ok\n", "")


def test_validate_the_repositorys_own(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEET_FILE")
    monkeypatch.chdir(ROOT)
    assert cli.main(["validate"]) == 0
    assert capsys.readouterr().out.endswith("fleet.yaml: 9 hosts, ok\n")


def test_validate_a_bad_file(fleet_file: Path, capsys: Capture) -> None:
    fleet_file.write_text(fleet_file.read_text().replace("role: pi,", "role: pie, size: 1,"))
    assert cli.main(["validate", str(fleet_file)]) == 1
    assert capsys.readouterr() == (
        "",
        'fleet.yaml:8: hosts.berry.role: "pie" is not known here\n'
        '    did you mean "pi"? known: '
        "orchestrator, headless-mac, workstation-mac, pi, windows-wsl\n"
        "fleet.yaml:8: hosts.berry.size: unknown key\n"
        '    did you mean "site"? known: role, os, arch, power, site, cores, max_jobs, '
        "addresses, ssh, budget, daily_budget, agent, "
        "without, hardware\n"
        "fleet.yaml: 2 problems\n",
    )


def test_validate_mentions_strays(fleet_file: Path, capsys: Capture) -> None:
    fleet_file.with_name("fleet.lock.yaml").write_text("version: 1\nhosts: {old: {}}\n")
    assert cli.main(["validate"]) == 0
    assert capsys.readouterr().out == (
        "fleet.lock.yaml: hosts.old: no longer in fleet.yaml: remove it when it is gone\n"
        "fleet.yaml: 4 hosts, ok\n"
    )


def test_validate_for_programs(fleet_file: Path, capsys: Capture) -> None:
    fleet_file.write_text("")
    assert cli.main(["validate", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert report["problems"] == [
        {
            "file": "fleet.yaml",
            "line": 0,
            "key": "",
            "fault": "the file is empty",
            "fix": "begin with `version: 1`",
        }
    ]


def test_hosts(capsys: Capture) -> None:
    assert cli.main(["hosts"]) == 0
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == "HOST ROLE OS/ARCH POWER ADDRESSES SSH JOBS BUDGET"
    assert rows[1] == "boss * orchestrator arch/x86_64 always-on 10.0.0.1 admin:22 8 $20"
    assert rows[4] == "win windows-wsl debian/x86_64 always-on 10.0.0.4 admin:22 6 $5"


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (120, "HOST ROLE OS/ARCH POWER ADDRESSES SSH JOBS BUDGET"),
        (80, "HOST ROLE OS/ARCH POWER ADDRESSES JOBS BUDGET"),
        (60, "HOST ROLE POWER ADDRESSES JOBS BUDGET"),
        (50, "HOST ROLE ADDRESSES JOBS BUDGET"),
    ],
)
def test_a_narrow_terminal_gets_fewer_columns(fleet_file: Path, width: int, columns: str) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(fitting_table(load_fleet(fleet_file), console))
    lines = console.export_text().splitlines()
    assert lines[0].split() == columns.split()
    assert len(lines) == 5


def test_hosts_for_programs(capsys: Capture) -> None:
    assert cli.main(["hosts", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["scheduler"] == "boss"
    assert [host["name"] for host in data["hosts"]] == ["boss", "mac", "berry", "win"]
    assert data["hosts"][3]["max_jobs"] == 6


def test_schema_is_json(capsys: Capture) -> None:
    assert cli.main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "fleet.yaml"


def test_a_bad_file_stops_any_verb(fleet_file: Path, capsys: Capture) -> None:
    fleet_file.unlink()
    assert cli.main(["hosts"]) == 1
    assert capsys.readouterr() == ("", "fleet.yaml: there is no such file\n    check the path\n")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "Change the fleet:"),
        (["hots"], 'No such command "hots". Did you mean "hosts"?'),
        (["hosts", "--jsn"], "No such option"),
        (["schema", "extra"], "unexpected extra argument"),
        (["--lap", "hosts"], "No such option"),
    ],
)
def test_wrong_usage(args: list[str], said: str, capsys: Capture) -> None:
    assert cli.main(args) == 64
    assert said in capsys.readouterr().err


def test_wrong_usage_by_environment(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_TARGET", "moon")
    assert cli.main(["hosts"]) == 64
    assert capsys.readouterr().err == (
        'FLEET_TARGET: "moon" is no target\n    use one of: real, lab\n'
    )


@pytest.mark.parametrize("verb", sorted(set(cli.VERBS) - {"lab"}))
def test_every_verb_has_help(verb: str, capsys: Capture) -> None:
    assert cli.main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: fleet {verb}")
    assert cli.VERBS[verb].help.rstrip(".").split()[0] in out


def test_help_lists_the_verbs_without_importing_them(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "VERBS", {"odd": cli.Verb("no.such:thing", "Does odd things.")})
    assert cli.main(["--help"]) == 0
    assert "odd  Does odd things." in capsys.readouterr().out


def test_a_verb_that_is_not_installed(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "VERBS", {"lab": cli.Verb("no_such_lab.cli:lab", "Lab.")})
    assert cli.main(["lab", "up"]) == 1
    assert "fleet: this installation has no `lab`" in capsys.readouterr().err


def verb(monkeypatch: pytest.MonkeyPatch, body: object) -> None:
    def get(_: cli.Verbs, __: click.Context, ___: str) -> click.Command:
        return click.Command("hosts", callback=body)  # type: ignore[arg-type]

    monkeypatch.setattr(cli.Verbs, "get_command", get)


def test_a_verbs_number_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    verb(monkeypatch, lambda: 3)
    assert cli.main(["hosts"]) == 3
    verb(monkeypatch, lambda: click.get_current_context().exit(2))
    assert cli.main(["hosts"]) == 2


def test_an_interrupt_is_quiet(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)

    verb(monkeypatch, interrupt)
    assert cli.main(["hosts"]) == 130
    assert capsys.readouterr().err.strip() == ""


def test_a_reader_that_goes_away_is_no_news() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "fleet", "schema"]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_terminal_that_knows_only_ascii(fleet_file: Path) -> None:
    fleet_file.write_text("ssh: {}\nhosts: {a: {}}")
    done = subprocess.run(
        [sys.executable, "-m", "fleet", "validate"],
        cwd=ROOT,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"no host has an SSH user" in done.stderr
