"""docs/commands.md and the commands are the same: each command a section, each option in it."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from tests.unit.fleet.test_help import COMMANDS

DOCS = Path(__file__).resolve().parents[3] / "docs" / "commands.md"
TITLE = re.compile(r"^#{2,3} (fleet(?: .*)?)$", re.MULTILINE)
ROW = re.compile(r"^\| (`-.*?) \|", re.MULTILINE)  # an option's, its names first
NAME = re.compile(r"`(--?[a-zA-Z][a-zA-Z-]*)`")


def sections(text: str) -> dict[str, str]:
    """Command → its section."""
    parts = TITLE.split(text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


SECTIONS = sections(DOCS.read_text(encoding="utf-8"))


def options(command: click.Command) -> set[str]:
    """The names of a command's options, without those of help."""
    params = [one for one in command.params if isinstance(one, click.Option)]
    return {name for one in params for name in (*one.opts, *one.secondary_opts)}


def documented(section: str) -> set[str]:
    """The options that have a row in the table of a section."""
    return {name for row in ROW.findall(section) for name in NAME.findall(row)}


def _all() -> dict[str, click.Command]:
    from fleet import cli

    return {"fleet": cli.fleet, **COMMANDS}


@pytest.mark.parametrize("path", sorted(_all()))
def test_a_command_is_documented(path: str) -> None:
    command = _all()[path]
    level = "##" if path.count(" ") < 2 else "###"
    assert path in SECTIONS, (
        f"docs/commands.md does not know `{path}`: add a section `{level} {path}` with what it is "
        f"for, a table `| option | |` with a row `| `--option` | … |` for each of "
        f"{', '.join(sorted(options(command))) or 'its options (it has none)'}, its exit codes, "
        "and an example in a ```console block"
    )
    missing = sorted(options(command) - documented(SECTIONS[path]))
    rows = " ".join(f"| `{name}` | what it does |" for name in missing)
    assert not missing, f"docs/commands.md, `{path}`: add to its table of options: {rows}"


@pytest.mark.parametrize("path", sorted(SECTIONS))
def test_what_is_documented_is_there(path: str) -> None:
    known = _all()
    assert path in known, f"docs/commands.md: there is no command `{path}`: remove its section"
    unknown = sorted(documented(SECTIONS[path]) - options(known[path]))
    assert not unknown, f"docs/commands.md, `{path}`: it has no {', '.join(unknown)}: remove it"


@pytest.mark.parametrize("path", [path for path in sorted(COMMANDS) if path.count(" ") == 1])
def test_a_verb_says_how_it_ends(path: str) -> None:
    """And shows itself at work."""
    section = SECTIONS.get(path, "")
    assert re.search("Exit\ncodes|Exit codes", section), f"docs/commands.md, `{path}`: exit codes"
    assert "```console" in section, f"docs/commands.md, `{path}`: add an example (```console)"


def test_the_check_finds_what_is_missing() -> None:
    found = sections("## fleet x\n| `--a`, `-b` | with `--c` |\ntext `--d`\n### fleet x y\n`--e`\n")
    assert {name: documented(part) for name, part in found.items()} == {
        "fleet x": {"--a", "-b"},
        "fleet x y": set(),
    }
