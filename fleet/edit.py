"""Edits fleet.yaml as a person would: an entry comes or goes, all else stays byte for byte."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import yaml

from fleet.lock import lock_path
from fleet.model import Fleet, load_fleet
from fleet.problems import FleetError
from fleet.yamlfile import display

INDENT = 2  # columns, where no entry shows how the file does it


def cut(path: Path, section: str, name: str, wanted: Fleet) -> None:
    """Remove an entry's lines; the file then says `wanted`.

    Raises FleetError, with the file as it was, when it would say anything else.
    """
    text = path.read_text()
    first, behind = _span(text, section, name)
    lines = text.splitlines(keepends=True)
    left = _joined(lines[:first], lines[behind:])
    found: Fleet | None = None
    with suppress(FleetError):
        found = attempt(path, left)
    if found != wanted:
        fault = f"the entry of {name} cannot be taken out without changing something else"
        fix = "remove it by hand and run again"
        raise FleetError.of(display(path), fault, fix, line=first + 1)
    write(path, left)


def _joined(before: list[str], after: list[str]) -> str:
    """Without the empty line that would be one too many, in the middle or at the end."""
    if before and not before[-1].strip() and not (after and after[0].strip()):
        before = before[:-1]
    return "".join([*before, *after])


def append(path: Path, section: str, name: str, entry: str) -> Fleet:
    """Add an entry at the end of a section; `entry` is YAML without indentation. What it says then.

    Raises FleetError, with the file as it was, when it would not be valid.
    """
    text = path.read_text()
    place = _value(yaml.compose(text, yaml.SafeLoader), section)
    if not isinstance(place, yaml.MappingNode) or place.flow_style or not place.value:
        fix = f"add {name} by hand, as one more entry of `{section}`"
        raise FleetError.of(display(path), f"`{section}` is not a block of entries", fix)
    lines = text.splitlines(keepends=True)
    if not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    end = _last_line(place) + 1
    apart = ["\n"] * (len(place.value) > 1 and not lines[_line(place, -1) - 1].strip())
    margin = " " * (place.value[0][0].start_mark.column or INDENT)
    new = [f"{margin}{line}\n" for line in entry.splitlines()]
    whole = "".join([*lines[:end], *apart, *new, *lines[end:]])
    try:
        found = attempt(path, whole)
    except FleetError as error:  # its lines are those of a file that is not to be
        raise FleetError(replace(one, line=0) for one in error.problems) from None
    write(path, whole)
    return found


def _line(section: yaml.MappingNode, index: int) -> int:
    """The line of one of its entries."""
    return int(section.value[index][0].start_mark.line)


def attempt(path: Path, text: str) -> Fleet:
    """What the file would say if this were its text. Raises FleetError."""
    with tempfile.TemporaryDirectory() as folder:
        tried = Path(folder) / path.name
        tried.write_text(text, encoding="utf-8")
        try:
            return load_fleet(tried, lock_path(path))
        except FleetError as error:
            ours, shown = display(tried), display(path)
            raise FleetError(
                replace(one, file=shown) if one.file == ours else one for one in error.problems
            ) from None


def write(path: Path, text: str) -> None:
    """Replace the file at once and whole, with its mode; a new one is readable to everybody."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(name).chmod(mode)
    Path(name).replace(path)


def _span(text: str, section: str, name: str) -> tuple[int, int]:
    """The index of the entry's first line, and of the line behind its last one."""
    entries = _value(yaml.compose(text, yaml.SafeLoader), section)
    for key, value in entries.value if isinstance(entries, yaml.MappingNode) else ():
        if key.value == name:
            return key.start_mark.line, _last_line(value) + 1
    raise AssertionError("the model knows an entry that its file has not")


def _value(node: yaml.Node | None, name: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == name), None)


def _last_line(node: yaml.Node) -> int:
    """The last line of a value; a block's end mark is where the next thing begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.line)
