"""Every command line in README.md and docs/ is executed: those that need no host, here.

tests/doclines/typed.py says by what each is. An id names the document and the line.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from fleet import cli
from lab.api import Lab
from lab.standins.wsl.windows import powershell
from tests import doclines
from tests.checkout import copied, with_programs
from tests.doclines import DOCUMENTS, FENCED, NO_COMMANDS, ROOT, SPANS, Line, shell
from tests.doclines.sources import published
from tests.doclines.typed import (
    BY_TEST,
    CHECKOUT,
    LAB,
    OFFLINE,
    ON_REAL_MACHINES,
    WINDOWS,
    Typed,
    told,
)

CLASSES: Mapping[str, Mapping[str, object]] = {
    "OFFLINE": OFFLINE,
    "WINDOWS": WINDOWS,
    "LAB": LAB,
    "BY_TEST": BY_TEST,
    "ON_REAL_MACHINES": ON_REAL_MACHINES,
}
LINES = [*FENCED, *SPANS]
WORDS = {"DAYS": "0", "ID": "12", "VERB": "plan", "bash|zsh|fish": "bash"}  # of the documents
KEPT = ("fleet.yaml", "fleet.lock.yaml", "artifacts.lock.yaml")  # what a line may write to


def ids(line: Line) -> str:
    return line.id


def of(table: Mapping[str, object]) -> list[Line]:
    """Every line of the documents that a class executes."""
    return [line for line in LINES if line.text in table]


# -- every line is executed by something


@pytest.mark.parametrize("line", FENCED, ids=ids)
def test_it_is_known_what_executes_a_line(line: Line) -> None:
    known = [name for name, table in CLASSES.items() if line.text in table]
    assert len(known) == 1, (
        f"{line.id}: {line.text!r} is in {' and '.join(known) or 'no class'} of "
        "tests/doclines/typed.py: it has to be in one, the first that can execute it"
    )


@pytest.mark.parametrize("text", [text for table in CLASSES.values() for text in table])
def test_what_is_executed_is_in_a_document(text: str) -> None:
    assert text in {line.text for line in LINES}, (
        f"no document has {text!r} any more: take it out of tests/doclines/typed.py"
    )


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_command_hides_in_another_block(path: Path) -> None:
    """Blocks of other labels hold none, so nobody need look there."""
    for block in doclines.blocks(path.read_text()):
        known = {*doclines.KINDS, *NO_COMMANDS}
        assert block.label in known, f"{path.name}:{block.lines[0][0]}: what is {block.label}?"
        for number, row in block.lines if block.label in NO_COMMANDS else ():
            assert not re.match(r" *[$#] \S| *(fleet|pyinfra|make|curl|sudo) [a-z-]", row) or (
                " ──► " in row or "   " in row.strip()
            ), f"{path.name}:{number}: a command? then label its block console"


@pytest.mark.parametrize("line", of(BY_TEST), ids=ids)
def test_the_test_that_executes_a_line_is_there(line: Line) -> None:
    where, words = BY_TEST[line.text]
    path, _, name = where.partition("::")
    text = (ROOT / path).read_text()
    functions = (one for one in ast.parse(text).body if isinstance(one, ast.FunctionDef))
    source = {one.name: ast.get_source_segment(text, one) or "" for one in functions}
    assert name in source, f"there is no {where}, which executes {line.id}"
    for word in words:
        assert word in source[name], f"{where} says nothing of {word!r}, of {line.id}"


# -- every line is understood


def calls(line: Line) -> Iterator[list[str]]:
    """The calls of `fleet` in a line, with words for what the documents leave open."""
    text = line.text
    for stands, meant in WORDS.items():
        text = re.sub(rf"(?<![\w-]){re.escape(stands)}(?![\w-])", meant, text)
    yield from doclines.calls(re.sub(r"[\[\]]|(?<=\w)(…|\.{3})", "", text))


def understand(words: list[str]) -> None:
    """Have a command line of `fleet` parsed and checked, and not executed."""
    group, context = cli.fleet, click.Context(cli.fleet, info_name="fleet")
    command: click.Command = group
    rest = [word for word in words if word != "--lab"]
    mention = all(re.fullmatch(r"[a-z-]+", word) for word in rest)
    while isinstance(command, click.Group) and rest:
        found = command.get_command(context, rest[0])
        assert found, f"there is no {rest[0]!r}"
        command, rest = found, rest[1:]
    if mention and not rest:
        return  # it is spoken of
    try:
        command.make_context(command.name, rest, parent=context)
    except click.exceptions.Exit:
        return  # it is asked for its help
    except click.UsageError as error:
        raise AssertionError(error.format_message()) from None


OF_FLEET = [line for line in LINES if any(calls(line))]


@pytest.mark.parametrize("line", OF_FLEET, ids=ids)
def test_the_command_understands_a_line(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for words in calls(line):
        understand(words)


OTHERS = [line for line in LINES if line not in OF_FLEET and line.kind != doclines.POWERSHELL]


@pytest.mark.parametrize("line", OTHERS, ids=ids)
def test_a_shell_understands_a_line(line: Line) -> None:
    done = subprocess.run(["bash", "-n"], input=line.text, text=True, capture_output=True)
    assert done.returncode == 0, f"{line.text}: {done.stderr}"


PARSE = "import sys; from pyinfra_cli.cli import cli; cli.make_context('pyinfra', sys.argv[1:])"


@pytest.mark.parametrize("line", [one for one in LINES if one.text.startswith("pyinfra ")], ids=ids)
def test_pyinfra_understands_a_line(line: Line) -> None:
    words = re.sub(r"[\[\]]", "", line.text).split()[1:]
    done = subprocess.run([sys.executable, "-c", PARSE, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all((ROOT / word).is_file() for word in words if word.endswith(".py"))


@pytest.mark.parametrize("line", [one for one in SPANS if one.text.startswith("make ")], ids=ids)
def test_make_knows_its_targets(line: Line, checkout: Path) -> None:
    words = line.text.split()
    if words[1].startswith("-j"):  # a build of somebody's
        return
    done = subprocess.run([*words, "--dry-run"], cwd=checkout, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    targets = re.findall(r"^([a-z-]+):.*## ", (checkout / "Makefile").read_text(), re.MULTILINE)
    assert words[1] in targets, "`make help` shows it"


# -- offline


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_programs(copied(tmp_path_factory.mktemp("fleet") / "checkout"))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with published(tmp_path_factory.mktemp("published")) as found:
        yield found


@pytest.fixture
def desk(checkout: Path, sources: Mapping[str, str], tmp_path: Path) -> dict[str, str]:
    """A person's environment, whose checkout is as it was cloned."""
    for name in KEPT:
        (checkout / name).unlink(missing_ok=True)
        if (ROOT / name).exists():
            shutil.copy2(ROOT / name, checkout / name)
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    key = tmp_path / "home" / ".ssh" / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("FLEET_")}
    return {
        **plain,
        **sources,
        "PATH": f"{checkout}/.venv/bin:{sources['PROGRAMS']}:{plain['PATH']}",
        "PYTHONPATH": str(checkout),
        "HOME": str(tmp_path / "home"),
        "AGENTFLEET_CACHE": str(tmp_path / "cache"),
        "AGENTFLEET_STATE": str(tmp_path / "state"),
    }


@pytest.mark.parametrize("line", of(OFFLINE), ids=ids)
def test_a_line_does_what_it_is_for(
    line: Line, checkout: Path, desk: dict[str, str], tmp_path: Path
) -> None:
    typed = OFFLINE[line.text]
    assert isinstance(typed, Typed)
    place = checkout if typed.at == CHECKOUT else tmp_path / "elsewhere"
    place.mkdir(exist_ok=True)
    facts = {"OUT": str(tmp_path / "out"), "REPOSITORY": str(ROOT), "WEB": desk["WEB"]}
    said = shell.run(told(typed.script(line.text), facts), place, desk, typed.answers)
    shell.check(line, typed, said, told(typed.says, facts))


@pytest.mark.parametrize("line", of(WINDOWS), ids=ids)
def test_powershell_does_what_a_line_is_for(
    line: Line, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = WINDOWS[line.text]
    for part in (typed.before, line.text, typed.proves):
        assert powershell.answer(part, tmp_path) == 0, capsys.readouterr()


def test_the_lab_understands_the_example_of_its_api() -> None:
    """docs/lab.md: each method is there and takes what it is given."""
    text = (ROOT / "docs" / "lab.md").read_text()
    (block,) = [one for one in doclines.blocks(text) if one.label == "python"]
    tree = ast.parse("\n".join(row for _, row in block.lines))
    called = [one for one in ast.walk(tree) if isinstance(one, ast.Call)]
    assert len(called) > 5
    for call in called:
        thing: Any = Lab
        names = ast.unparse(call.func).split(".")
        for name in names[1:]:
            assert hasattr(thing, name), f"docs/lab.md: there is no {'.'.join(names)}"
            thing = getattr(thing, name)
            if isinstance(thing, property) and thing.fget:
                thing = inspect.get_annotations(thing.fget, eval_str=True)["return"]
        given = [*(["self"] if len(names) > 1 else []), *call.args]
        inspect.signature(thing).bind(*given)


# -- and the extractor finds them

SAMPLE = """\
`fleet plan` and `a span` and `fleet task
send X`
```console
$ fleet a --x 'y # no remark' \\
     --z            # a remark
# what is printed
$ cat <<END
$ one
END
```
```
$ a picture
```
    ```sh
    make b   # c
    ```
"""


def test_what_is_extracted() -> None:
    found = [(line.number, line.text, line.shown) for line in doclines.lines("x.md", SAMPLE)]
    assert found == [
        (4, "fleet a --x 'y # no remark' --z", ("# what is printed",)),
        (7, "cat <<END\n$ one\nEND", ()),
        (15, "make b", ()),
    ]
    spans = [(line.number, line.text) for line in doclines.spans("x.md", SAMPLE)]
    assert spans == [(1, "fleet plan"), (1, "fleet task send X")]


def test_calls_are_found_wherever_they_are() -> None:
    text = 'eval "$(fleet env rpi1)"; sudo fleet x && .venv/bin/fleet graph -o "a b" > fleet plan'
    assert [*doclines.calls(text)] == [["env", "rpi1"], ["graph", "-o", "a b"]]


@pytest.mark.parametrize(
    "words", [["plan", "--limt"], ["plans"], ["task", "show", "x"], ["env", "--trusted-only"]]
)
def test_what_is_wrong_is_not_understood(words: list[str]) -> None:
    with pytest.raises(AssertionError):
        understand(words)
