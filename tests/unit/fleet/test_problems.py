"""How faults read."""

from __future__ import annotations

import pytest

from fleet.problems import FleetError, Problem, closest, show, show_path, suggest


def test_problems_are_sorted_by_line_and_told_once() -> None:
    late = Problem("f.yaml", 10, "a", "is wrong", "write b")
    early = Problem("f.yaml", 9, "", "is odd", "")
    assert str(FleetError([late, early, late])) == (
        "f.yaml:9: is odd\nf.yaml:10: a: is wrong\n    write b"
    )


def test_no_line_is_no_line() -> None:
    assert str(FleetError.of("f.yaml", "there is no such file", "")) == (
        "f.yaml: there is no such file"
    )


def test_a_file_cannot_paint_the_terminal() -> None:
    problem = Problem("f.yaml", 1, "a", "taken by b\x1b[31m", "ask b\n")
    assert str(problem) == "f.yaml:1: a: taken by b\\x1b[31m\n    ask b\\n"


def test_a_flood_is_cut() -> None:
    error = FleetError(Problem("f", n, "", "bad", "") for n in range(1, 71))
    assert str(error).splitlines()[-1] == "… and 20 more: mend these first"
    assert len(error.problems) == 70


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("pi", '"pi"'),
        ('a"b', '"a\\"b"'),
        ("tab\t\x1b[31m", '"tab\\t\\u001b[31m"'),
        ("\ud800", '"\\ud800"'),
        ("é", '"é"'),
        (None, "nothing"),
        (True, "true"),
        ([1], "a list"),
        ({}, "a mapping"),
        (10**100, "1" + "0" * 47 + "…" + "0" * 10),
    ],
)
def test_values_are_shown_on_one_line(value: object, shown: str) -> None:
    assert show(value) == shown


def test_paths() -> None:
    assert show_path(("hosts", "rpi1", "without", 0)) == "hosts.rpi1.without[0]"
    assert show_path(("hosts", "a b\n", "x")) == 'hosts."a b\\n".x'


def test_guesses() -> None:
    assert closest("PII", ["orchestrator", "pi"]) == "pi"
    assert closest("nothing", ["orchestrator", "pi"]) is None
    assert closest("x" * 10_000, ["x" * 10_000]) is None
    assert suggest("q", ["a", "b"]) == "use one of: a, b"
