"""Reads a YAML file as plain data that remembers its lines, whatever the file holds.

Differences from PyYAML's loaders, all on purpose: only JSON's types (`no` and `on` are text, `022`
and `12:30` are text, a date is text); no tags; duplicate keys are faults; size, depth and number of
values are bounded before anything is built, and aliases count each time they are used.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from fleet.problems import FleetError, Problem, show, show_path

MAX_BYTES = 1024 * 1024
MAX_VALUES = 20_000  # a host is about 30 values
MAX_DEPTH = 32
MAX_DIGITS = 300

Key = tuple[str | int, ...]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_YAML = "tag:yaml.org,2002:"
_PLAIN_TAGS = {_YAML + name for name in ("int", "float", "bool", "null", "timestamp")}
_TEXT_TAGS = {_YAML + name for name in ("str", "value", "merge")}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WORDS: Mapping[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "false": False,
}


@dataclass(frozen=True)
class Document:
    """The one document of a YAML file: plain data, the line of each value, and its faults.

    `data` is made of dict (string keys), list, str, int, float, bool and None.
    """

    file: str
    data: object
    lines: Mapping[Key, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def line(self, path: Key) -> int:
        """Return the line of the value at `path`, or of the nearest thing that encloses it."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return 1

    def problem(self, path: Key, fault: str, fix: str) -> Problem:
        """Return a problem at `path` of this document."""
        return Problem(self.file, self.line(path), show_path(path), fault, fix)


def display(path: Path) -> str:
    """Return a path as messages show it: relative to the working directory where it is below."""
    try:
        shown = path.absolute().relative_to(Path.cwd())
    except (OSError, ValueError, RuntimeError):
        shown = path
    return str(shown).encode("utf-8", "backslashreplace").decode()


def read_document(path: Path) -> Document:
    """Read the YAML file at `path`.

    Raises FleetError when there is nothing to go on with (unreadable, no YAML, too large); faults
    that leave the rest readable (duplicate keys, tags) are in the document's `problems`.
    """
    file = display(path)
    return parse_document(_read(path, file), file)


def read_text(path: Path) -> str:
    """Read a text file, bounded and checked as a YAML file is; raises FleetError."""
    file = display(path)
    return _decode(_read(path, file), file)


def parse_document(raw: bytes, file: str) -> Document:
    """Parse the content of a YAML file; `file` is its name in messages."""
    text = _decode(raw, file)
    try:
        _measure(text, file)
        node = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: numbers in directives
        raise _not_yaml(error, file) from None
    if node is None:
        raise FleetError.of(file, "the file is empty", "begin with `version: 1`")
    return _Converter(file).document(node)


def _read(path: Path, file: str) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            what = "a directory" if path.is_dir() else "not a regular file"
            raise FleetError.of(file, f"this is {what}", "name a YAML file")
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise FleetError.of(file, "there is no such file", "check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FleetError.of(file, f"cannot be read: {reason}", "check its path and mode") from None
    if len(raw) > MAX_BYTES:
        fix = "a fleet of hundreds of hosts needs a tenth of that: is this the right file?"
        raise FleetError.of(file, "the file is larger than 1 MiB", fix)
    return raw


def _decode(raw: bytes, file: str) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        fault = f"not UTF-8 text: byte 0x{raw[error.start]:02x}"
        raise FleetError.of(file, fault, "save the file as UTF-8", line=line) from None
    if bad := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        fault = f"holds the control character U+{ord(bad[0]):04X}"
        raise FleetError.of(file, fault, "remove it: this is a text file", line=line)
    return text


def _measure(text: str, file: str) -> None:
    """Refuse what would be too deep or too large to build, looking at the parser's events only."""
    depth = values = documents = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        values += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH:
            raise _too_deep(file, line)
        if values > MAX_VALUES:
            raise _too_many(file, line)
        if documents > 1:
            fix = "one file describes one fleet: remove the `---` and what follows"
            raise FleetError.of(file, "holds more than one YAML document", fix, line=line)


def _too_deep(file: str, line: int) -> FleetError:
    fault = f"nested more than {MAX_DEPTH} levels deep"
    return FleetError.of(file, fault, "nothing here needs more than five", line=line)


def _too_many(file: str, line: int) -> FleetError:
    fault = f"holds more than {MAX_VALUES} values, aliases counted each time"
    return FleetError.of(file, fault, "write less, or split the fleet", line=line)


def _not_yaml(error: Exception, file: str) -> FleetError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    parts = [getattr(error, name, None) for name in ("context", "problem")]
    said = " ".join(part for part in parts if part) or getattr(error, "reason", "") or "syntax"
    fix = "check indentation, colons and quotes on this line and the one above"
    line = mark.line + 1 if mark else 0
    return FleetError.of(file, f"not YAML: {said}", fix, line=line)


class _Converter:
    """Turns a graph of nodes into plain data, writing down lines and faults on the way."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Key, int] = {}
        self.problems: list[Problem] = []
        self.left = MAX_VALUES
        self.active: set[int] = set()  # ids of the collections being converted

    def document(self, node: yaml.Node) -> Document:
        self.lines[()] = node.start_mark.line + 1
        data = self.value(node, ())
        return Document(self.file, data, self.lines, tuple(self.problems))

    def fault(self, node: yaml.Node, path: Key, fault: str, fix: str) -> None:
        line = node.start_mark.line + 1
        self.problems.append(Problem(self.file, line, show_path(path), fault, fix))

    def value(self, node: yaml.Node, path: Key) -> object:
        self.left -= 1
        if self.left < 0:
            raise _too_many(self.file, self.lines[path[:1]])  # where the aliases are used
        if len(self.active) >= MAX_DEPTH:
            raise _too_deep(self.file, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, path)
        if id(node) in self.active:
            self.fault(node, path, "contains itself", "write the value out instead of the alias")
            return None
        self.active.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            return self.sequence(node, path)
        finally:
            self.active.discard(id(node))

    def scalar(self, node: yaml.ScalarNode, path: Key) -> object:
        if node.tag in _TEXT_TAGS:
            return node.value
        if node.tag not in _PLAIN_TAGS:
            self.refuse_tag(node, path)
            return None
        return plain_value(node.value)

    def sequence(self, node: yaml.Node, path: Key) -> list[object]:
        if node.tag != _YAML + "seq":
            self.refuse_tag(node, path)
        items = []
        for index, item in enumerate(node.value):
            self.lines[(*path, index)] = item.start_mark.line + 1
            items.append(self.value(item, (*path, index)))
        return items

    def mapping(self, node: yaml.MappingNode, path: Key) -> dict[str, object]:
        if node.tag != _YAML + "map":
            self.refuse_tag(node, path)
        data: dict[str, object] = {}
        for source in self.merged(node, path):
            merged = self.value(source, path)
            data.update(merged if isinstance(merged, dict) else {})
        data.update(self.pairs(node, path))
        return data

    def merged(self, node: yaml.MappingNode, path: Key) -> Iterator[yaml.MappingNode]:
        """Yield the mappings that `<<` names, the weakest first."""
        for key, value in node.value:
            if key.tag != _YAML + "merge":
                continue
            for source in reversed(value.value) if _is_list(value) else [value]:
                if not isinstance(source, yaml.MappingNode):
                    fix = "write `<<: *name` with the anchor of a mapping"
                    self.fault(key, (*path, "<<"), "merges something that is no mapping", fix)
                elif id(source) in self.active:
                    self.fault(key, (*path, "<<"), "contains itself", "write the values out")
                else:
                    yield source

    def pairs(self, node: yaml.MappingNode, path: Key) -> dict[str, object]:
        data: dict[str, object] = {}
        own: dict[str, int] = {}
        for key, value in node.value:
            if key.tag == _YAML + "merge":
                continue
            if not isinstance(key, yaml.ScalarNode):
                self.fault(key, path, "a key is a list or a mapping", "keys are plain words")
                continue
            name, here = key.value, (*path, key.value)
            if name in own:
                fix = f"keep one of the two; the first is on line {own[name]}"
                self.fault(key, here, f"the key {show(name)} is here twice", fix)
                continue
            own[name] = self.lines[here] = key.start_mark.line + 1
            data[name] = self.value(value, here)
        return data

    def refuse_tag(self, node: yaml.Node, path: Key) -> None:
        tag = node.tag.replace(_YAML, "!!", 1)
        self.fault(node, path, f"the tag {show(tag)} means nothing here", "write a plain value")


def _is_list(node: yaml.Node) -> bool:
    return isinstance(node, yaml.SequenceNode)


def plain_value(text: str) -> object:
    """Return what an unquoted YAML scalar stands for: JSON's types, everything else is text."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= MAX_DIGITS:
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text
