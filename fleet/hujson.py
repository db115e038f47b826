"""HuJSON, which is JSON with comments and trailing commas: read, written, and edited in place.

An edit changes what it is about and leaves every other byte, comments included. Libraries for JSON5
take more than the tailnet's admin console takes (bare keys, single quotes), and drop comments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from fleet.problems import FleetError, Problem, show, show_path

OURS = "// agentfleet:"  # begins a comment that belongs to the element below it
WIDTH = 100
_STRING = r'"(?:[^"\\\n]|\\.)*"'
_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?\*/", re.DOTALL)
# A comma that nothing stands before is no trailing comma, but a fault.
_TRAILING = re.compile(rf"{_STRING}|([\[{{,]\s*)?,(?=\s*[\]}}])")
_SPACE = re.compile(r"\s*")


class Member(NamedTuple):
    """An element of an array (its key is its index) or a member of an object, by its offsets."""

    key: str | int
    start: int  # of the key, or of the element
    value: int
    end: int


class Edit(NamedTuple):
    """Text that takes the place of what is from `start` up to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Document:
    """The text of a HuJSON file that holds one object; `file` is its name in messages."""

    file: str
    text: str

    @cached_property
    def bare(self) -> str:
        """The text, as long as it was, with spaces for comments."""
        return _COMMENT.sub(
            lambda found: _blank(found[0]) if found[0][0] == "/" else found[0], self.text
        )

    @cached_property
    def plain(self) -> str:
        """The text, as long as it was, with spaces for comments and trailing commas: plain JSON."""
        return _TRAILING.sub(lambda found: " " if found[0] == "," else found[0], self.bare)

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the text says; raises FleetError."""
        try:
            data = json.loads(
                self.plain, object_pairs_hook=self._object, parse_constant=self._constant
            )
        except json.JSONDecodeError as error:
            fix = "JSON is what is wanted, with comments (// and /* */) and trailing commas at most"
            fault = f"not HuJSON: {error.msg}"
            raise FleetError.of(self.file, fault, fix, line=error.lineno) from None
        except RecursionError:
            raise FleetError.of(self.file, "nested too deep", "is this the right file?") from None
        if not isinstance(data, dict):
            raise FleetError.of(self.file, "this is not an object", "begin it with {", line=1)
        return data

    def _object(self, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise FleetError.of(self.file, f"the key {show(key)} is there twice", "keep one")
            found[key] = value
        return found

    def _constant(self, name: str) -> None:
        raise FleetError.of(self.file, f"not HuJSON: {name}", "write a number, or null")

    def problem(self, at: int, path: Iterable[str | int], fault: str, fix: str) -> Problem:
        """Return a problem with what is at an offset."""
        line = self.text.count("\n", 0, at) + 1
        return Problem(self.file, line, show_path(path), fault, fix)

    def members(self, at: int) -> tuple[list[Member], int]:
        """The members of the array or object that begins at `at`, and where its bracket closes."""
        _ = self.data  # raises where there is nothing to walk over
        text, decode = self.plain, json.JSONDecoder().raw_decode
        found: list[Member] = []
        place = _skip(text, at + 1)
        while text[place] not in "]}":
            start, key = place, len(found)
            if text[at] == "{":
                key, place = decode(text, place)
                place = _skip(text, _skip(text, place) + 1)
            _, end = decode(text, place)
            found.append(Member(key, start, place, end))
            place = _skip(text, end)
            if text[place] == ",":
                place = _skip(text, place + 1)
        return found, place

    @property
    def root(self) -> int:
        """Where the object begins."""
        return _skip(self.plain, 0)

    def edits(
        self,
        at: int,
        *,
        remove: Collection[str | int] = (),
        replace: Mapping[str | int, str] | None = None,
        add: Sequence[Sequence[str]] = (),
    ) -> list[Edit]:
        """How to change the array or object at `at`; each addition is a list of lines."""
        members, closing = self.members(at)
        edits = [self._removal(one) for one in members if one.key in remove]
        new = replace or {}
        edits += [Edit(one.value, one.end, new[one.key]) for one in members if one.key in new]
        if not add:
            return edits
        kept = [one for one in members if one.key not in remove]
        if kept and self._comma(kept[-1].end) is None:
            edits.append(Edit(kept[-1].end, kept[-1].end, ","))
        edits.append(self._insertion(members, closing, add))
        return edits

    def _comma(self, end: int) -> int | None:
        place = _skip(self.bare, end)
        return place if self.bare[place] == "," else None

    def _removal(self, member: Member) -> Edit:
        """Take a member out, with its comma, our comment above it, and lines that become empty."""
        comma = self._comma(member.end)
        start, end = member.start, (member.end if comma is None else comma + 1)
        line = self.text.rfind("\n", 0, start) + 1
        rest = self.text[end : self.text.find("\n", end) + 1]
        if self.text[line:start].strip() or rest.strip() or not rest:
            return Edit(start, end, "")
        while line and self.text[self._line_before(line) : line].strip().startswith(OURS):
            line = self._line_before(line)
        return Edit(line, end + len(rest), "")

    def _line_before(self, line: int) -> int:
        return self.text.rfind("\n", 0, line - 1) + 1

    def _insertion(
        self, members: Sequence[Member], closing: int, add: Sequence[Sequence[str]]
    ) -> Edit:
        """Put members before the closing bracket, indented like those that are there."""
        line = self.text.rfind("\n", 0, closing) + 1
        outer = self._indent(closing)
        inner = self._indent(members[0].start) if members else f"{outer}  "
        if len(inner) <= len(outer):
            inner = f"{outer}  "
        body = "".join(
            f"{inner}{text}{',' if number == len(lines) - 1 else ''}\n"
            for lines in add
            for number, text in enumerate(lines)
        )
        if self.text[line:closing].strip():
            return Edit(closing, closing, f"\n{body}{outer}")
        return Edit(line, line, body)

    def _indent(self, place: int) -> str:
        line = self.text.rfind("\n", 0, place) + 1
        return self.text[line : _skip(self.text, line)]

    def edited(self, edits: Iterable[Edit]) -> str:
        """The text with the edits, which must not overlap; at one place they stay in order."""
        parts, place = [], 0
        for edit in sorted(edits, key=lambda one: (one.start, one.end)):
            parts += [self.text[place : edit.start], edit.text]
            place = edit.end
        return "".join((*parts, self.text[place:]))


def written(value: Any, head: str = "") -> list[str]:  # noqa: ANN401 - any JSON value
    """Lines of HuJSON that hold the value; `head` goes before it on the first line."""
    flat = head + json.dumps(value, ensure_ascii=False)
    if len(flat) <= WIDTH or not isinstance(value, list | dict) or not value:
        return [flat]
    if isinstance(value, dict):
        inner = [written(one, f"{json.dumps(key)}: ") for key, one in value.items()]
        return [f"{head}{{", *_inside(inner), "}"]
    if all(isinstance(one, str) for one in value):
        return [f"{head}[", *_filled([json.dumps(one, ensure_ascii=False) for one in value]), "]"]
    return [f"{head}[", *_inside([written(one) for one in value]), "]"]


def _inside(members: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"  {line}{',' if number == len(lines) - 1 else ''}"
        for lines in members
        for number, line in enumerate(lines)
    ]


def _filled(words: Sequence[str]) -> list[str]:
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > WIDTH - 10:
            lines.append("")
        lines[-1] += f"{' ' if lines[-1] else '  '}{word},"
    return lines


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _skip(text: str, at: int) -> int:
    """Where the next thing that is no white space begins."""
    found = _SPACE.match(text, at)
    return found.end() if found else at
