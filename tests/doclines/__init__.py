"""The command lines of README.md and docs/: where each stands, what it says and shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SHELL, POWERSHELL, INLINE = "shell", "powershell", "inline"
KINDS = {"console": SHELL, "sh": SHELL, "bash": SHELL, "powershell": POWERSHELL}
NO_COMMANDS = ("", "yaml", "python")  # unlabelled blocks are pictures and what programs print
OPENS = ("fleet", "pyinfra", "make", "pytest", "eval", "curl", "git", "ssh", "ssh-keygen", "sudo",
         "su", "pacman", "journalctl", "tailscale", "ethtool")  # fmt: skip

_FENCE = re.compile(r"^ *```(\w*) *$")
_PROMPT = re.compile(r"^([$#]) ")
_HERE = re.compile(r"<<-?\s*['\"]?(\w+)")
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")


@dataclass(frozen=True)
class Line:
    """A command as a document has it, in one line; `shown` is what stands below it."""

    file: str
    number: int
    kind: str
    text: str
    shown: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.file}:{self.number}"

    @property
    def columns(self) -> list[str]:
        """The headings of the table that is shown; none where none is."""
        for row in self.shown:
            words = re.split(r" {2,}", row.strip())
            if len(words) > 2 and row == row.upper() and not row.startswith(("{", "-")):
                return words
        return []


@dataclass(frozen=True)
class Block:
    """A fenced block: its label, and its lines, each with its number."""

    label: str
    lines: tuple[tuple[int, str], ...]


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a document."""
    label: str | None = None
    lines: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and label is None:
            label, lines = fence[1], []
        elif fence:
            yield Block(label or "", tuple(lines))
            label = None
        elif label is not None:
            lines.append((number, line))
    assert label is None, "a block does not end"


def lines(file: str, text: str) -> Iterator[Line]:
    """The commands of the fenced blocks of a document."""
    for block in blocks(text):
        if kind := KINDS.get(block.label):
            yield from _commands(file, kind, block)


def _commands(file: str, kind: str, block: Block) -> Iterator[Line]:
    """Those of a block. Its first prompt is its prompt; without one, all lines are commands."""
    rows = [(number, row.strip()) for number, row in block.lines]
    found = _PROMPT.match(rows[0][1]) if rows else None
    prompt = found[0] if found else ""
    at = 0
    while at < len(rows):
        number, row = rows[at]
        at += 1
        if not row.startswith(prompt) or not row:
            continue
        text = uncommented(row.removeprefix(prompt))
        while text.endswith("\\") and at < len(rows):
            text = f"{text[:-1].rstrip()} {uncommented(rows[at][1])}"
            at += 1
        if here := _HERE.search(text):
            end = next(n for n in range(at, len(rows)) if rows[n][1] == here[1])
            text = "\n".join((text, *(row for _, row in rows[at : end + 1])))
            at = end + 1
        rest = rows[at:]
        more = next((n for n, (_, row) in enumerate(rest) if row.startswith(prompt)), len(rest))
        shown = tuple(row for _, row in rest[:more]) if prompt else ()
        if text:
            yield Line(file, number, kind, text, shown)


def uncommented(text: str) -> str:
    """A command without the remark behind it."""
    quote = ""
    for at, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign == "#" and not text[at - 1 : at].strip():
            return text[:at].rstrip()
    return text.rstrip()


def spans(file: str, text: str) -> Iterator[Line]:
    """What stands in a sentence or a table as code and is a command line."""
    prose = re.sub(
        r"^ *```.*?^ *```$",
        lambda it: "\n" * it[0].count("\n"),
        text,
        flags=re.MULTILINE | re.DOTALL,
    )
    for span in _SPAN.finditer(prose):
        code = re.sub(r"\s*\n\s*", " ", span[1]).replace("\\|", "|")
        first = code.partition(" ")[0]
        if " " in code and (first in OPENS or first.startswith((".venv/", "FLEET_"))):
            yield Line(file, prose.count("\n", 0, span.start()) + 1, INLINE, code)


def calls(text: str) -> Iterator[list[str]]:
    """The words of each call of `fleet` in a command line, those in `$(…)` included."""
    for inner in re.findall(r"\$\(([^()]*)\)", text):
        yield from calls(inner)
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>\n")
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    for word in (*lexer, ";"):
        if set(word) <= set("|&;<>\n"):
            if words[:1] in (["fleet"], [".venv/bin/fleet"]):
                yield words[1:]
            words = [] if set(word) <= set("|&;\n") else ["to a file"]
        else:
            words.append(word)


def _all() -> tuple[list[Line], list[Line]]:
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in DOCUMENTS}
    fenced = [line for file, text in texts.items() for line in lines(file, text)]
    return fenced, [line for file, text in texts.items() for line in spans(file, text)]


FENCED, SPANS = _all()
