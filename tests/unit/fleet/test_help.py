"""`--help` teaches: what a verb is for, and lines to type that work."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator

import click
import pytest

from fleet import cli

LAB = "fleet lab "  # its own commands are learned in the lab: the group has examples for them


def commands(group: click.Group = cli.fleet, path: str = "fleet") -> Iterator[tuple[str, object]]:
    """Every command with its full name, groups and all that is in them."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


COMMANDS = {path: command for path, command in commands() if isinstance(command, click.Command)}


def examples(command: click.Command) -> list[str]:
    return [line.strip() for line in (command.epilog or "").splitlines() if line.startswith("  ")]


@pytest.mark.parametrize("path", [path for path in COMMANDS if not path.startswith(LAB)])
def test_every_verb_has_examples(path: str) -> None:
    found = examples(COMMANDS[path])
    assert found, (
        f"{path}: say @click.command(epilog=examples('{path} …')), see commands/session.py"
    )
    assert any(path in line for line in found), f"{path}: none of its examples calls it"


def _words(line: str) -> list[str]:
    """The words of the call of fleet that is in an example, without the remark behind it."""
    call = re.split(r"   |\)\"", line[line.index("fleet ") :])[0]
    lexer = shlex.shlex(call, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    return list(itertools.takewhile(lambda word: not set(word) <= set("|&;<>"), lexer))


@pytest.mark.parametrize(
    ("path", "line"),
    [(path, line) for path, command in COMMANDS.items() for line in examples(command)],
)
def test_an_example_is_true(path: str, line: str) -> None:
    """Its verb and options are there."""
    words = _words(line)
    command: click.Command = cli.fleet
    rest = words[1:]
    while isinstance(command, click.Group):
        rest = [word for word in rest if word != "--lab"]
        found = command.get_command(click.Context(command), rest[0])
        assert found, f"{line}: there is no {rest[0]}"
        command, rest = found, rest[1:]
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    if "--" in rest:
        rest = rest[: rest.index("--")]
    for word in rest:
        if re.match(r"--?[a-z]", word):
            assert word.split("=")[0] in known, f"{line}: there is no {word}"


def test_every_verb_is_in_a_section() -> None:
    listed = [name for names in cli.PURPOSES.values() for name in names]
    assert len(listed) == len(set(listed))
    missing = sorted(set(cli.VERBS) - set(listed))
    assert not missing, f"name what they are for in fleet/cli.py, PURPOSES: {', '.join(missing)}"


def test_a_verb_in_no_section_is_listed_all_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "VERBS", {**cli.VERBS, "odd": cli.Verb("no:thing", "Does odd.")})
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "More:\n  odd  Does odd." in out
    for title, names in cli.PURPOSES.items():
        at = out.index(f"{title}:")
        assert all(f"\n  {name} " in out[at:] for name in names)
