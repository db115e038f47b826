"""The lab for tests: nine hosts of its own, converged once, brought back for each module.

With pytest-xdist every worker has a lab of its own, and its modules share that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from fleet.target import LAB, Target, load_target
from lab.api import Lab
from tests.lab.runs import KEEP, NAME, Run, converge

CONVERGED = "converged"
HERE = os.path.dirname(__file__)  # noqa: PTH120 - compared with pytest's strings
WHY_NOT = (
    "the lab needs Linux"
    if sys.platform != "linux"
    else "the lab needs root"
    if os.geteuid() != 0
    else ""
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this directory needs the lab: marked, and skipped with the reason."""
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.lab)
            if WHY_NOT:
                item.add_marker(pytest.mark.skip(reason=WHY_NOT))


@pytest.fixture(scope="session")
def first_run() -> Iterator[Run]:
    """The run that brings nine pristine hosts to their state; the lab is gone afterwards."""
    lab = Lab(NAME)
    if KEEP and lab.has_snapshot(CONVERGED):
        lab.restore(CONVERGED)
    else:
        lab.destroy()
        lab.up()
    try:
        run = converge()
        assert run.code == 0, run.output
        if not lab.has_snapshot(CONVERGED):
            lab.snapshot(CONVERGED)
        yield run
    finally:
        if not KEEP:
            lab.destroy()


_used_by: list[str] = []  # the modules that have used the hosts, by whose state suits them


@pytest.fixture(scope="module")
def lab(first_run: Run, request: pytest.FixtureRequest) -> Lab:
    """The converged lab, as it was after the first run when a module begins.

    A module that says AS_FOUND takes it as that module left it, or another one that says the same,
    and waits for what it needs.
    """
    lab = Lab(NAME)
    name = request.module.__name__.rpartition(".")[2]
    state = getattr(request.module, "AS_FOUND", name)
    if _used_by and _used_by[-1] != state:
        lab.restore(CONVERGED)
    _used_by.append(state)
    return lab


@pytest.fixture(scope="module")
def target(lab: Lab, monkeypatch_module: pytest.MonkeyPatch) -> Target:
    """The test lab for our own functions."""
    monkeypatch_module.setenv("FLEET_LAB", NAME)
    return load_target(LAB)


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    """pytest's monkeypatch, for a module."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch
