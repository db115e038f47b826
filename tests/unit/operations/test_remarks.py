"""What people should know of a host is said once, and nothing is done about it."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from fleet.resources import Resources
from operations import change, remarks
from tests.unit.conftest import FakeHost, StandingOrder

WHY = "it compiles at home: it has no clang 16"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Any:
    monkeypatch.setattr(change, "_told", set())
    caplog.set_level(logging.INFO, logger="pyinfra")
    return caplog


def say(monkeypatch: pytest.MonkeyPatch, name: str, *whys: str) -> list[object]:
    """The commands that come of it on that host."""
    pretended = SimpleNamespace(name=name, print_prefix=f"[{name}] ")
    monkeypatch.setattr(remarks, "host", pretended)
    order = StandingOrder(FakeHost().context("toolchains"), Resources(remarks=whys))
    return list(remarks.ensure._inner(order=order))


def test_it_is_said_with_its_host_and_its_capability(
    said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert say(monkeypatch, "imac", WHY, "another") == [], "nothing is run for it"
    words = [record.getMessage() for record in said.records]
    assert words == [f"[imac] toolchains: {WHY}", "[imac] toolchains: another"]
    assert {record.levelno for record in said.records} == {logging.WARNING}


def test_once_a_run_however_often_it_plans(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("imac", "imac", "macbook1"):
        say(monkeypatch, name, WHY)
    assert [record.getMessage()[:6] for record in said.records] == ["[imac]", "[macbo"]


def test_nothing_to_remark(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert say(monkeypatch, "imac") == []
    assert said.records == []
