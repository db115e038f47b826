"""Payloads, names and quoting survive whatever is in them."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st

from operations.change import wrap
from operations.shell import flat, quote, unpack, words

QUICK = settings(max_examples=25, deadline=None)
NAME = st.text(
    st.characters(exclude_characters="/\x00", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda name: name not in (".", ".."))


def sh(script: str) -> bytes:
    run = subprocess.run(["sh", "-s"], input=script.encode(), capture_output=True, check=False)
    assert (run.returncode, run.stderr) == (0, b"")
    return run.stdout


@given(st.lists(NAME, min_size=1, max_size=4))
def test_a_path_as_one_name_is_reversible(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    assert "/" not in flat(path)
    assert unquote(flat(path)) == path


@given(NAME, NAME)
def test_different_paths_have_different_names(one: str, other: str) -> None:
    assert (flat(f"/{one}") == flat(f"/{other}")) == (one == other)


@QUICK
@given(st.lists(NAME, min_size=1, max_size=5))
def test_words_arrive_as_they_are(texts: list[str]) -> None:
    printed = sh(wrap(f"for word in {words(*texts)}; do printf '%s\\0' \"$word\"; done"))
    assert printed.decode().split("\0")[:-1] == texts


@QUICK
@given(st.dictionaries(NAME, st.binary(max_size=2000), min_size=1, max_size=4))
def test_payloads_arrive_as_they_are(contents: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        sh(wrap(unpack({flat(k): v for k, v in contents.items()}, quote(directory), mac=False)))
        there = {unquote(path.name): path.read_bytes() for path in Path(directory).iterdir()}
        modes = {path.stat().st_mode & 0o777 for path in Path(directory).iterdir()}
    assert there == contents
    assert modes == {0o600}


def test_equal_payloads_are_equal_bytes() -> None:
    contents = {"a": b"1" * 1000, "b": b""}
    assert unpack(contents, "/d", mac=False) == unpack(contents, "/d", mac=False)


def test_a_mac_decodes_with_its_own_option() -> None:
    assert unpack({"a": b""}, "/d", mac=True).startswith("base64 -D <<")


def test_a_program_inside_cannot_read_the_rest_of_the_script() -> None:
    assert sh(wrap("cat\necho after")) == b"after\n"


def test_the_first_error_ends_the_script() -> None:
    script = wrap("false\necho after")
    run = subprocess.run(["sh", "-s"], input=script.encode(), capture_output=True, check=False)
    assert (run.returncode, run.stdout) == (1, b"")
