"""The hosts that only pretend are such as a run finds nothing to do on, but what was edited."""

from __future__ import annotations

import sys

import pytest

from bench.plan60 import Measured, faults, fleet_of, verify


@pytest.mark.skipif(sys.platform != "linux", reason="the bench reads /proc")
def test_a_dry_run_finds_exactly_what_was_edited() -> None:
    with fleet_of(7) as environment:  # one of each kind
        verify(environment)


def measured(hosts: int, cpu_s: float, megabytes: int) -> Measured:
    return Measured(hosts, [cpu_s], [cpu_s], [megabytes * 1_000_000])


def test_linear_growth_passes_and_more_does_not() -> None:
    small = measured(15, 2, 80)
    assert faults([small, measured(30, 4, 90), measured(60, 9, 100)]) == []
    (slow,) = faults([small, measured(30, 4, 90), measured(60, 10, 100)])
    assert "2.50 times" in slow
    (large,) = faults([small, measured(30, 4, 90), measured(60, 8, 501)])
    assert "501 MB" in large
