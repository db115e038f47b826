"""Whatever a file holds, the answer is data with lines or a sentence, and it comes quickly."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.model import load_fleet
from fleet.problems import FleetError
from fleet.yamlfile import Document, parse_document, read_document


def parse(text: str | bytes) -> Document:
    return parse_document(text.encode() if isinstance(text, str) else text, "f.yaml")


def refusal(text: str | bytes) -> str:
    with pytest.raises(FleetError) as caught:
        parse(text)
    return str(caught.value).splitlines()[0]


def test_only_the_types_of_json() -> None:
    text = "{a: 1, b: 1.5, c: true, d: null, e: ~, f: , g: text, h: '1', i: [x, {y: -2}]}"
    assert parse(text).data == {
        "a": 1,
        "b": 1.5,
        "c": True,
        "d": None,
        "e": None,
        "f": None,
        "g": "text",
        "h": "1",
        "i": ["x", {"y": -2}],
    }


@pytest.mark.parametrize(
    "word", ["no", "on", "022", "0x1f", "12:30", "1_000", "2026-01-01", ".inf"]
)
def test_what_yaml_would_make_of_it_is_text(word: str) -> None:
    assert parse(f"a: {word}").data == {"a": word}


def test_keys_are_text_whatever_they_look_like() -> None:
    assert parse("{1: a, true: b, ~: c, 2026-01-01: d}").data == {
        "1": "a",
        "true": "b",
        "~": "c",
        "2026-01-01": "d",
    }


def test_every_value_has_its_line() -> None:
    document = parse("a: 1\nb:\n  c:\n  - x\n  - d: 2\n")
    assert document.line(("a",)) == 1
    assert document.line(("b", "c")) == 3
    assert document.line(("b", "c", 1, "d")) == 5
    assert document.line(("b", "nothing", "here")) == 2


def test_anchors_and_merge_keys() -> None:
    document = parse("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz: {<<: [*x, *y], a: 9}\nw: *x\n")
    assert isinstance(document.data, dict)
    assert document.data["z"] == {"a": 9, "b": 2, "c": 4}
    assert document.data["w"] == {"a": 1, "b": 2}
    assert parse("x: &x {a: 1}\ny: &y {<<: *x}\nz: {<<: *y}").data == {
        "x": {"a": 1},
        "y": {"a": 1},
        "z": {"a": 1},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", 'f.yaml:3: a: the key "a" is here twice'),
        ("h: {x: 1,\n x: 2}", 'f.yaml:2: h.x: the key "x" is here twice'),
        ("a: !!python/object:os.system {b: 1}", 'f.yaml:1: a: the tag "!!python/object:os.system"'),
        ("a: !mine 1", 'f.yaml:1: a: the tag "!mine" means nothing here'),
        ("a: !!binary aGk=", 'f.yaml:1: a: the tag "!!binary"'),
        ("a: !!set {b: , c: }", 'f.yaml:1: a: the tag "!!set"'),
        ("&a [*a]", "f.yaml:1: [0]: contains itself"),
        ("a: &a {b: *a}", "f.yaml:1: a.b: contains itself"),
        ("a: &a {<<: *a}", "f.yaml:1: a.<<: contains itself"),
        ("a: {<<: 1}", "f.yaml:1: a.<<: merges something that is no mapping"),
        ("[1]: x", "f.yaml:1: a key is a list or a mapping"),
        ("{a: 1}: x", "f.yaml:1: a key is a list or a mapping"),
    ],
)
def test_faults_that_leave_the_rest_readable(text: str, said: str) -> None:
    found = [str(problem) for problem in parse(text).problems]
    assert len(found) == 1
    assert found[0].replace('a."<<"', "a.<<").startswith(said)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "f.yaml: the file is empty"),
        (b"# only a comment\n", "f.yaml: the file is empty"),
        (b"a: 1\nb: \x00\n", "f.yaml:2: holds the control character U+0000"),
        (b"a: 1\n\x1b[31m", "f.yaml:2: holds the control character U+001B"),
        (b"a: 1\nb: \xff\xfe\n", "f.yaml:2: not UTF-8 text: byte 0xff"),
        ("a: 1".encode("utf-16"), "f.yaml:1: not UTF-8 text: byte 0xff"),
        (b"\x7fELF\x02\x01", "f.yaml:1: holds the control character U+007F"),
        (b"a: 1\n---\nb: 2\n", "f.yaml:2: holds more than one YAML document"),
        (b"[" * 10_000, "f.yaml:1: nested more than 32 levels deep"),
        (b"{a: " * 10_000, "f.yaml:1: nested more than 32 levels deep"),
        (b"- " * 10_000, "f.yaml:1: nested more than 32 levels deep"),
        (b"? " * 10_000, "f.yaml:1: nested more than 32 levels deep"),
        (BOMB.encode(), "f.yaml:5: holds more than 20000 values, aliases counted each time"),
        (b"- x\n" * 30_000, "f.yaml:20000: holds more than 20000 values"),
        (b"a: [1\n", "f.yaml:2: not YAML: while parsing a flow sequence"),
        (b"a: *b\n", "f.yaml:1: not YAML: found undefined alias"),
        (b"%YAML 1." + b"9" * 5000 + b"\n---\na: 1", "f.yaml:1: not YAML:"),
    ],
)
def test_content_that_is_refused(content: bytes, said: str) -> None:
    start = time.monotonic()
    assert refusal(content).startswith(said)
    assert time.monotonic() - start < 2


def test_a_byte_order_mark_is_no_fault() -> None:
    assert parse(b"\xef\xbb\xbfa: 1").data == {"a": 1}


def test_places_that_hold_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "large.yaml").write_bytes(b"a: 1\n" * 2_000_000)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name, said in {
        "absent.yaml": "absent.yaml: there is no such file",
        "large.yaml": "large.yaml: the file is larger than 1 MiB",
        "pipe": "pipe: this is not a regular file",
        "loop": "loop: cannot be read: Too many levels of symbolic links",
        "a" * 300: f"{'a' * 300}: cannot be read: File name too long",
        ".": ".: this is a directory",
        "nul\0": "nul\\x00: cannot be read: embedded null byte",
    }.items():
        with pytest.raises(FleetError) as caught:
            read_document(Path(name))
        assert str(caught.value).startswith(said)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "f.yaml"
    path.write_text("a: 1")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FleetError, match="cannot be read: Permission denied"):
        read_document(path)


def load_quietly(path: Path, content: bytes) -> None:
    """Load the content as a fleet: it may be refused, in sentences that can be printed."""
    path.write_bytes(content)
    text = "fine"
    try:
        load_fleet(path)
    except FleetError as error:
        text = str(error)
    assert text.encode()
    assert all(character.isprintable() or character == "\n" for character in text)


bounded = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@bounded
@given(content=st.binary(max_size=300))
def test_any_bytes(fleet_file: Path, content: bytes) -> None:
    load_quietly(fleet_file, content)


@bounded
@given(text=st.text("&*<!|>%@?:-,[]{}#'\"\n\t ab01~.é\x85\u2028", max_size=60))
def test_any_punctuation(fleet_file: Path, text: str) -> None:
    load_quietly(fleet_file, text.encode())


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
).map(repr)
words = st.sampled_from(
    [
        "&x",
        "*x",
        "<<: *x",
        "!!str",
        "!!int x",
        "|",
        "- ",
        "? ",
        "pi",
        "linux",
        "100.64.0.1",
        "1e999",
    ]
)


@bounded
@given(data=st.data(), junk=st.lists(anything | words, min_size=1, max_size=4))
def test_a_valid_file_with_pieces_exchanged(
    fleet_file: Path, small: str, data: st.DataObject, junk: list[str]
) -> None:
    text = small
    for piece in junk:
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + piece + text[end:]
    load_quietly(fleet_file, text.encode(errors="replace"))


@bounded
@given(data=st.data(), value=anything)
def test_a_valid_file_with_a_value_exchanged(
    fleet_file: Path, small: str, data: st.DataObject, value: str
) -> None:
    pieces = small.split(": ")
    at = data.draw(st.integers(1, len(pieces) - 1))
    end = min((i for i in (pieces[at].find(c) for c in ",}\n") if i >= 0), default=0)
    pieces[at] = value + pieces[at][end:]
    load_quietly(fleet_file, ": ".join(pieces).encode(errors="replace"))


def test_a_large_file_of_faults_is_told_quickly(fleet_file: Path) -> None:
    start = time.monotonic()
    lines = "".join(f"key{n}: {n}\n" for n in range(9_000))
    fleet_file.write_text(lines)
    with pytest.raises(FleetError) as caught:
        load_fleet(fleet_file)
    assert str(caught.value).endswith("more: mend these first")
    hosts = "".join(f"  h{n}: {{role: pie}}\n" for n in range(4_500))
    fleet_file.write_text(f"hosts:\n{hosts}")
    with pytest.raises(FleetError):
        load_fleet(fleet_file)
    assert time.monotonic() - start < 10
