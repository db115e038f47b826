"""Another fleet: what `fleet init` writes, with not a line changed, is all that it takes."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.model import load_fleet
from lab.api import Lab
from tests.lab import runs
from tests.lab.checks import Fleet, settles
from tests.lab.runs import SMALL, Run, converge
from tests.lab.workers import REMOTE, object_of

pytestmark = pytest.mark.long

BOSS, PI, MAC = "shed", "currant", "quince"
HOSTS = (
    f"{BOSS},role=orchestrator,os=debian,arch=x86_64,cores=4,lan=192.168.178.2",
    f"{PI},role=pi,os=raspios,lan=192.168.178.3",
    f"{MAC},role=headless-mac,cores=8,lan=192.168.178.4",
)


@dataclass(frozen=True)
class Another:
    """That fleet in a lab of its own, and the run that brought it there."""

    lab: Lab
    file: Path
    first: Run

    @property
    def fleet(self) -> Fleet:
        """The `fleet` command on it."""
        return functools.partial(runs.fleet, fleet_file=self.file, lab=SMALL)


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Another]:
    file = tmp_path_factory.mktemp("another") / "fleet.yaml"
    entries = [word for host in HOSTS for word in ("--host", host)]
    done = runs.fleet("init", str(file), "--name", "garden", "--user", "gardener", *entries)
    assert done.returncode == 0, done.stdout + done.stderr
    lab = Lab(SMALL, fleet=load_fleet(file))
    lab.destroy()
    lab.up()
    try:
        yield Another(lab, file, converge(fleet_file=file, lab=SMALL))
    finally:
        lab.destroy()


def test_one_run_brings_it_there(another: Another) -> None:
    assert another.first.code == 0, another.first.output
    assert set(another.first.changes) == {BOSS, PI, MAC}
    assert converge(fleet_file=another.file, lab=SMALL, dry=True).changes == {}


def test_all_is_well(another: Another) -> None:
    found = settles(set(), "--deep", fleet=another.fleet)
    assert {f"agent@{name}" for name in (BOSS, PI, MAC)} <= set(found)
    assert "compile" in found


def test_its_machines_compile_for_one_another(another: Another) -> None:
    for client, worker in ((BOSS, PI), (PI, BOSS)):
        made = object_of(another.lab, client, worker)
        assert f"{REMOTE}{another.lab.fleet.host(worker).addresses.tailnet}" in made


def test_its_page_gives_work_to_the_mac(another: Another) -> None:
    done = another.fleet("task", "send", "--host", MAC, "--wait", "say that the quinces are ripe")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "quinces are ripe" in done.stdout.partition("\n")[2]
