"""`fleet init` and `fleet add`: what they write is valid, whole, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fleet import cli
from fleet.commands import init
from fleet.edit import cut
from fleet.entry import WORDS, entry_of
from fleet.kinds import Arch, Power, Role
from fleet.model import load_fleet
from fleet.schema import HostEntry
from fleet.target import ROOT
from fleet.view import text_of
from fleet.yamlfile import parse_document
from tests.golden import FLEET

Capture = pytest.CaptureFixture[str]
BOSS = "boss,role=orchestrator,os=debian,arch=x86_64,cores=8,lan=10.0.0.1"
BERRY = "berry,role=pi,os=raspios,lan=10.0.0.2"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "fleet.yaml"
    monkeypatch.setenv("FLEET_FILE", str(path))
    return path


# init


def test_a_new_file_is_valid_and_says_what_was_said(file: Path, capsys: Capture) -> None:
    odd = 'mac,role=headless-mac,cores=8,lan=fd00::1,hardware=it: "nice" # yes'
    words = ["--name", "cabin", "--user", "ann", "--host", BOSS, "--host", BERRY, "--host", odd]
    assert cli.main(["init", *words]) == 0
    fleet = load_fleet(file)
    assert (fleet.name, [host.name for host in fleet.hosts]) == ("cabin", ["boss", "berry", "mac"])
    boss, berry, mac = fleet.hosts
    assert (boss.ssh.user, boss.addresses.lan, boss.arch) == ("ann", "10.0.0.1", Arch.X86_64)
    assert (berry.arch, berry.cores, berry.budget) == (Arch.AARCH64, 4, 5)
    assert (mac.addresses.lan, mac.hardware) == ("fd00::1", 'it: "nice" # yes')
    said = capsys.readouterr().out
    assert "fleet trust boss berry mac" in said
    assert f"export FLEET_FILE={file}" in said


def test_its_comments_are_those_of_the_repositorys_own() -> None:
    """One manual in two places: whoever changes one changes the other."""
    ours = (ROOT / "fleet.yaml").read_text().split("\nhosts:\n")[0]
    new = text_of(init.TEMPLATE, name="home", user="admin", hosts=[]).split("\nhosts:\n")[0]
    assert new == ours, "fleet.yaml and templates/init/fleet.yaml.j2 say the same"


def test_the_manual_names_every_key_of_a_host() -> None:
    manual = text_of(init.TEMPLATE, name="x", user="y", hosts=[])
    for key in HostEntry.model_fields:
        assert f"\n#   {key} " in manual
    assert {place[0] for place in WORDS.values()} <= set(HostEntry.model_fields)


def test_what_is_there_is_never_overwritten(file: Path, capsys: Capture) -> None:
    file.write_text("mine\n")
    assert cli.main(["init", "--host", BOSS]) == 1
    assert "is there already" in capsys.readouterr().err
    assert file.read_text() == "mine\n"


@pytest.mark.parametrize(
    ("words", "code", "fault"),
    [
        (["--host", BERRY], 1, "no host is the orchestrator"),
        (["--host", BOSS, "--host", BOSS], 1, "is here twice"),
        (["--host", BOSS.replace("cores=8", "cores=lots")], 1, '"lots" is not a number'),
        (["--host", "boss,rolle=pi"], 64, 'did you mean "role"'),
        (["--host", "boss,role"], 64, "says nothing"),
        (["--host", "boss,role=pi,role=pi"], 64, "said twice"),
        (["--name", "A b", "--host", BOSS], 1, "is not a name"),
        ([], 64, "a fleet has hosts"),
    ],
)
def test_what_is_wrong_writes_nothing(
    file: Path, capsys: Capture, words: list[str], code: int, fault: str
) -> None:
    assert cli.main(["init", *words]) == code
    said = capsys.readouterr().err
    assert fault in said
    assert "/" not in said.replace(str(file), ""), "the file is called what it will be"
    assert list(file.parent.iterdir()) == []


def test_at_a_terminal_it_asks(
    file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    boss = ("cabin", "ann", "boss", "debian", "x86_64", "8", "10.0.0.1", "always-on")
    tower = ("windows-wsl", "tower", "debian", "x86_64", "6", "tower.lan", "sleeps", "2222")
    answers = iter((*boss, *tower, ""))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.prompt", lambda *_, **__: next(answers))
    assert cli.main(["init"]) == 0
    first, second = load_fleet(file).hosts
    assert (first.role, first.ssh.user) == (Role.ORCHESTRATOR, "ann")
    assert (second.power, second.ssh.port, second.cores) == (Power.SLEEPS, 2222, 6)


def test_at_a_terminal_a_host_that_cannot_be_is_asked_for_again(
    file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said before stays; what is wrong with the rest is said at once."""
    boss = ("boss", "debian", "x86_64", "8", "10.0.0.1", "always-on")
    wrong = ("pi", "Berry", "raspios", "10.0.0.1", "always-on")
    right = ("berry", "raspios", "10.0.0.2", "always-on")
    answers = iter(("cabin", "ann", *boss, *wrong, *right, ""))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.prompt", lambda *_, **__: next(answers))
    assert cli.main(["init"]) == 0
    assert "written in lower case" in capsys.readouterr().err
    assert [host.name for host in load_fleet(file).hosts] == ["boss", "berry"]
    file.unlink()
    answers = iter(("No name", "ann", *boss))
    assert cli.main(["init"]) == 1
    assert "is not a name" in capsys.readouterr().err


# add


def test_a_host_is_added_and_all_else_stays(file: Path, capsys: Capture) -> None:
    file.write_text(FLEET.read_text())
    before, was = file.read_text(), load_fleet(file)
    words = ("--role", "pi", "--os", "raspios", "--lan", "192.168.50.99", "--site", "home")
    assert cli.main(["add", "berry", *words]) == 0
    assert file.read_text().startswith(before.rstrip("\n"))
    now = load_fleet(file)
    assert now.hosts[:-1] == was.hosts
    assert (now.hosts[-1].name, now.hosts[-1].arch) == ("berry", Arch.AARCH64)
    said = capsys.readouterr().out
    for step in ("fleet bootstrap berry", "fleet trust berry", "fleet apply --limit berry"):
        assert step in said
    cut(file, "hosts", "berry", was)
    assert file.read_text() == before, "and out again, byte for byte"


def test_a_file_without_empty_lines_and_with_a_tail(file: Path) -> None:
    cli.main(["init", "--host", BOSS, "--host", BERRY])
    text = file.read_text().replace("\n\n  berry", "\n  berry").replace("\nhosts:\n", "\nhosts:\n")
    head, hosts = text.split("\nhosts:\n")
    file.write_text(f"version: 1\nhosts:\n{hosts.rstrip()}\n# the end\nname: x\nssh: {{user: ann}}")
    file.write_text(file.read_text() + "\nbudgets: {orchestrator: 1, pi: 1}")
    del head
    assert cli.main(["add", "more", "--role", "pi", "--os", "raspios"]) == 0
    assert "cores: 4\n# the end\nname: x\n" in file.read_text()
    assert [host.name for host in load_fleet(file).hosts] == ["boss", "berry", "more"]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["berry", "--role", "pie"], 'did you mean "pi"'),
        (["berry", "--role", "pi", "--os", "macos"], "macos does not go with the role pi"),
        (["berry", "--role", "pi", "--os", "raspios", "--cores", "many"], "is not a number"),
        (["rpi1", "--role", "pi", "--os", "raspios"], "is here twice"),
        (["Berry", "--role", "pi", "--os", "raspios"], "written in lower case"),
        (["pi", "--role", "pi", "--os", "raspios"], "may not be called"),
        (["b: {}", "--role", "pi", "--os", "raspios"], "is not a host name"),
        (["boss", "--role", "orchestrator", "--os", "debian"], "hosts.boss.cores: is missing"),
        (["berry"], "hosts.berry.role: is missing"),
        (["berry", "--role", "pi", "--os", "raspios", "--lan", "100.64.0.9"], "tailnet address"),
    ],
)
def test_what_is_wrong_changes_nothing(
    file: Path, capsys: Capture, words: list[str], fault: str
) -> None:
    file.write_text(FLEET.read_text())
    assert cli.main(["add", *words]) == 1
    said = capsys.readouterr().err
    assert fault in said
    assert f"{file}:" in said
    assert file.read_text() == FLEET.read_text()


def test_hosts_in_braces_are_for_a_person(file: Path, capsys: Capture) -> None:
    boss = "{role: orchestrator, os: debian, arch: x86_64, cores: 2}"
    file.write_text(
        f"version: 1\nname: x\nssh: {{user: a}}\nbudgets: {{orchestrator: 1, pi: 1}}\n"
        f"hosts: {{boss: {boss}}}\n"
    )
    before = file.read_text()
    assert cli.main(["add", "berry", "--role", "pi", "--os", "raspios"]) == 1
    assert "by hand" in capsys.readouterr().err
    assert file.read_text() == before


def test_for_programs(file: Path, capsys: Capture) -> None:
    file.write_text(FLEET.read_text())
    assert cli.main(["add", "berry", "--role", "pi", "--os", "raspios", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["host"] == "berry"


@pytest.mark.parametrize("word", ["yes", "null", "1.5", "~", "- x", "a: b", "#x", "{", "'", "é\t"])
def test_words_that_yaml_would_read_otherwise_are_quoted(word: str) -> None:
    text = entry_of("berry", {"hardware": word})
    assert parse_document(text.encode(), "x").data == {"berry": {"hardware": word}}
