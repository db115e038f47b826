"""HuJSON is read as the tailnet reads it, and an edit leaves alone what it is not about."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.hujson import WIDTH, Document, written
from fleet.problems import FleetError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=5)
GAPS = st.sampled_from(["", " ", "\n", "\t", '// a, ] } "\n', "/* , ] \n // */", "//\n", "/**/"])


def doc(text: str) -> Document:
    return Document("p.hujson", text)


def with_gaps(draw: st.DrawFn, value: Any) -> str:
    """The value as HuJSON, with comments and trailing commas wherever they may be."""

    def gap() -> str:
        return str(draw(GAPS))

    if isinstance(value, dict):
        parts = [
            f"{json.dumps(key)}{gap()}:{gap()}{with_gaps(draw, it)}" for key, it in value.items()
        ]
    elif isinstance(value, list):
        parts = [with_gaps(draw, it) for it in value]
    else:
        ascii_only: bool = draw(st.booleans())
        return json.dumps(value, ensure_ascii=ascii_only)
    inner = f"{gap()},{gap()}".join(parts)
    trailing: bool = draw(st.booleans())
    if parts and trailing:
        inner += f"{gap()},"
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}{gap()}{inner}{gap()}{closing}"


@st.composite
def documents(draw: st.DrawFn) -> tuple[dict[str, Any], Document]:
    value = draw(OBJECTS)
    return value, doc(draw(GAPS) + with_gaps(draw, value) + draw(GAPS))


@settings(deadline=None)
@given(documents())
def test_comments_and_trailing_commas_say_nothing(case: tuple[dict[str, Any], Document]) -> None:
    value, document = case
    assert document.data == value
    assert len(document.plain) == len(document.text)
    assert document.plain.count("\n") == document.text.count("\n")
    assert [one.key for one in document.members(document.root)[0]] == list(value)


@settings(deadline=None)
@given(documents(), st.data())
def test_an_edit_changes_what_it_is_about(
    case: tuple[dict[str, Any], Document], data: st.DataObject
) -> None:
    value, document = case
    keys = st.lists(st.sampled_from(list(value)), unique=True) if value else st.just([])
    remove = data.draw(keys)
    replace = {key: data.draw(JSON) for key in data.draw(keys) if key not in remove}
    add = {f"new-{n}": it for n, it in enumerate(data.draw(st.lists(JSON, max_size=3)))}
    add = {key: it for key, it in add.items() if key not in value}
    edits = document.edits(
        document.root,
        remove=remove,
        replace={key: json.dumps(it) for key, it in replace.items()},
        add=[written(it, f"{json.dumps(key)}: ") for key, it in add.items()],
    )
    kept = {key: replace.get(key, it) for key, it in value.items() if key not in remove}
    assert doc(document.edited(edits)).data == {**kept, **add}


@given(JSON)
def test_what_is_written_is_what_is_read(value: Any) -> None:
    lines = written(value, '"key": ')
    assert doc("{\n" + "\n".join(lines) + "\n}").data == {"key": value}


def test_lists_are_filled_and_lines_are_short() -> None:
    words = [f"word-{number}" for number in range(60)]
    lines = written({"list": words, "short": [1]})
    assert lines[1:3] == ['  "list": [', f"    {json.dumps(words[:9])[1:-1]}, "[:4] + lines[2][4:]]
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) < 15


FULL = """\
{ // top
  "a": [
    // about one
    1, // one
    // agentfleet: two
    2,
    /* three */ 3
  ],
  "b": {"x": 1, "y": 2}
}
"""


def at(document: Document, key: str) -> int:
    return next(one.value for one in document.members(document.root)[0] if one.key == key)


def test_a_line_leaves_with_our_comment_above_it() -> None:
    document = doc(FULL)
    text = document.edited(document.edits(at(document, "a"), remove=[1]))
    assert text == FULL.replace("    // agentfleet: two\n    2,\n", "")


def test_somebodys_comment_stays_when_its_element_leaves() -> None:
    document = doc(FULL)
    text = document.edited(document.edits(at(document, "a"), remove=[0, 2]))
    for comment in ("// about one", "// one", "// agentfleet: two", "/* three */", "// top"):
        assert comment in text
    assert doc(text).data["a"] == [2]


def test_additions_come_last_and_look_like_the_rest() -> None:
    document = doc(FULL)
    edits = document.edits(at(document, "a"), add=[["// agentfleet: four", "4"]])
    edits += document.edits(at(document, "b"), add=[['"z": 3']])
    assert document.edited(edits) == FULL.replace(
        "3\n  ],", "3,\n    // agentfleet: four\n    4,\n  ],"
    ).replace('"y": 2}', '"y": 2,\n    "z": 3,\n  }')


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("", 1, "not HuJSON: Expecting value"),
        ("// nothing\n", 2, "not HuJSON: Expecting value"),
        ("{\n'a': 1}", 2, "not HuJSON"),
        ("{\n\n a: 1}", 3, "not HuJSON"),
        ('{"a": [1,,2]}', 1, "not HuJSON"),
        ('{"a": [,]}', 1, "not HuJSON"),
        ('{"a": 1 "b": 2}', 1, "not HuJSON"),
        ('{"a": NaN}', 0, "not HuJSON: NaN"),
        ('{"a": 1} {', 1, "not HuJSON: Extra data"),
        ('{"a": /* never closed }', 1, "not HuJSON"),
        ('{"a": "x\ny"}', 1, "not HuJSON"),
        ('{"a": 1, "a": 2}', 0, 'the key "a" is there twice'),
        ("[1]", 1, "this is not an object"),
        ('{"a": ' + "[" * 100_000, 0, "nested too deep"),
    ],
)
def test_what_is_no_hujson_is_refused_with_its_line(text: str, line: int, fault: str) -> None:
    with pytest.raises(FleetError) as error:
        _ = doc(text).data
    (problem,) = error.value.problems
    assert (problem.file, problem.line) == ("p.hujson", line)
    assert problem.fault.startswith(fault)
    assert problem.fix
