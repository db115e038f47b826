"""A compile environment is of clang, or it is not one: there is no word for another compiler."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fleet.environments import Environment, major, number, read_environments, version
from fleet.kinds import Arch
from tests.unit.clusters import CLANG, PATCHED, environment

ENVIRONMENT = environment(Arch.AARCH64)


def record(it: Environment) -> str:
    """What a builder has written down."""
    parts = (it.platform, it.compiler, it.content, it.sha256, str(it.size), str(it.unpacked))
    return " ".join(parts)


def test_the_name_says_what_it_is_and_changes_with_the_content() -> None:
    assert ENVIRONMENT.name == f"aarch64-clang16.0.6-{ENVIRONMENT.content[:12]}.tar.zst"
    others = (
        environment(Arch.X86_64),
        environment(Arch.AARCH64, PATCHED),
        environment(Arch.AARCH64, packed="otherwise"),
    )
    assert len({it.name for it in (ENVIRONMENT, *others)}) == 4


def test_versions() -> None:
    assert (version(CLANG), number(CLANG), major(CLANG)) == ("16.0.6+0f1e2d", "16.0.6", 16)
    short = "9+0f1e2d 0123456789ab"
    assert (version(short), number(short), major(short)) == ("9+0f1e2d", "9", 9)


@pytest.mark.parametrize(
    "compiler",
    [
        "gcc 0123456789ab",
        "gcc-12.2.0 0123456789ab",
        "12.2.0-gcc 0123456789ab",
        "16.0.6/../gcc 0123456789ab",
        "16.0.6",
        "16.0.6 0123",
        "16.0.6 0123456789AB",
        "16.0.6+0f1e2d 0123456789ab\n",
        "16.0.6.1 0123456789ab",
        "٣.0.6+0f1e2d 0123456789ab",
        "",
    ],
)
def test_what_is_no_clang_is_refused_in_words(compiler: str) -> None:
    with pytest.raises(ValidationError, match="is not a compiler"):
        Environment(**ENVIRONMENT.model_dump() | {"compiler": compiler})


def test_nobody_can_name_the_compiler() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Environment.model_validate(ENVIRONMENT.model_dump() | {"language": "gcc"})
    with pytest.raises(ValidationError, match="frozen"):
        setattr(ENVIRONMENT, "compiler", "gcc")  # noqa: B010 - what mypy would not let through


@given(st.text())
def test_no_word_makes_an_environment_of_another_compiler(word: str) -> None:
    """Whatever is written where a compiler or a digest stands, the file's name says clang alone."""
    for key in ("compiler", "content", "platform"):
        try:
            made = Environment(**ENVIRONMENT.model_dump() | {key: word})
        except ValidationError:
            continue
        assert made.name.startswith((f"{Arch.AARCH64}-clang", f"{Arch.X86_64}-clang"))
        assert not [other for other in ("gcc", "g++", "/") if other in made.name]


@pytest.mark.parametrize("size", [499, 0, -1, 2**34 + 1, "500", 500.0])
def test_what_icecream_would_refuse_is_none(size: object) -> None:
    with pytest.raises(ValidationError):
        Environment(**ENVIRONMENT.model_dump() | {"size": size})


def test_what_a_builder_tells() -> None:
    other = environment(Arch.AARCH64, PATCHED)
    assert read_environments(f"{record(ENVIRONMENT)};{record(other)};") == (ENVIRONMENT, other)
    assert read_environments("") == read_environments(";") == ()


GOOD = record(ENVIRONMENT)


@pytest.mark.parametrize(
    "said",
    [
        GOOD.replace("16.0.6", "gcc"),
        GOOD.replace("16.0.6", "gcc12.2.0"),
        GOOD.replace("aarch64", "armv7l"),
        GOOD.replace(ENVIRONMENT.content, ENVIRONMENT.content[:12]),
        GOOD.replace(" 60000000 ", " many "),
        GOOD.rpartition(" ")[0],
        f"{GOOD} gcc",
        f"{GOOD}\n{GOOD}",
        "cat: environments: Permission denied",
    ],
)
def test_what_is_no_record_is_said_with_what_to_do(said: str) -> None:
    with pytest.raises(ValueError, match="it says it has packed ") as caught:
        read_environments(f"{GOOD};{said};")
    assert "remove its state directory's environments*" in str(caught.value)
