"""The item `compile` of `fleet check`: who compiles for whom, and what speaks for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet import compiletrial
from fleet.compiletrial import compile_item
from fleet.lock import ArtifactsLock
from fleet.model import Fleet, Host
from fleet.ssh import Answer
from fleet.target import ROOT, Target
from orchestrator.health.model import Inside, Item, Member, Outside, Service, Verdict
from tests.unit.fleet.compilers import equipped
from tests.unit.fleet.test_compile_check import Hosts

RUNS = Inside(services={"iceccd": Service(running=True)})
STOPPED = Inside(services={"iceccd": Service(running=False)})


class Trial:
    """A fleet of which something may be wrong."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.hosts = fleet, Hosts(fleet)
        self.inside = {host.name: RUNS for host in fleet.hosts}
        self.outside = Outside(
            members=tuple(
                Member(host.name, host.addresses.tailnet or "", 10245) for host in fleet.hosts
            )
        )

    def item(self) -> Item:
        target = Target("real", self.fleet, None, ArtifactsLock(), ROOT)
        return compile_item(target, self.inside, self.outside)

    def changed(self, name: str, **update: Any) -> None:
        def changed(host: Host) -> Host:
            return host.model_copy(update=update) if host.name == name else host

        self.fleet = self.fleet.model_copy(update={"hosts": tuple(map(changed, self.fleet.hosts))})


@pytest.fixture
def trial(fleet_file: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    found = Trial(equipped(fleet_file))
    monkeypatch.setattr(compiletrial, "route", lambda host, _: host.name)
    monkeypatch.setattr(compiletrial, "as_login", found.hosts.as_login)
    return found


def test_one_job_from_the_orchestrator_on_a_machine_of_its_kind(trial: Trial) -> None:
    found = trial.item()
    assert found.verdict is Verdict.OK
    assert found.evidence == "clang from boss on win, at 100.64.0.4, in 1.5 s"
    assert trial.hosts.asked == ["boss"], "one connection"


def test_the_worker_that_is_there(trial: Trial) -> None:
    trial.outside = replace(trial.outside, blocked={"win": "reported"})
    assert "from boss on berry" in trial.item().evidence
    trial.inside["boss"] = STOPPED
    assert "from mac on berry" in trial.item().evidence
    trial.outside = replace(trial.outside, blocked={})
    assert "from mac on win" in trial.item().evidence
    trial.changed("mac", power="roams")
    assert "from berry on win" in trial.item().evidence, "it is always on"


def test_a_worker_elsewhere_than_it_says_is_not_asked(trial: Trial) -> None:
    strange = [replace(one, address="100.64.0.99") for one in trial.outside.members]
    trial.outside = replace(trial.outside, members=tuple(strange))
    assert trial.item().verdict is Verdict.UNKNOWN
    assert not trial.hosts.asked


def test_a_job_that_was_compiled_at_home(trial: Trial) -> None:
    trial.hosts.spoilt["boss"] = "Have to use host"
    found = trial.item()
    assert found.verdict is Verdict.FAILED
    assert found.evidence.startswith("clang from boss on win: compiled at home, silently")
    assert found.advice == "fleet compile-check --host boss"


def test_a_client_that_is_cut_off_or_paints(trial: Trial) -> None:
    trial.hosts.answers["boss"] = Answer(255, "", "no answer within 120 s \x1b]0;evil\x07")
    found = trial.item()
    assert found.verdict is Verdict.FAILED
    assert "no answer within 120 s" in found.evidence
    assert found.evidence.isprintable()


def test_what_another_item_says_already(trial: Trial) -> None:
    well = trial.outside
    for outside, words in (
        (replace(well, scheduler_fault="refused"), "see scheduler"),
        (replace(well, fault="no answer"), "see orchestrator"),
        (replace(well, members=well.members[:1]), "see node"),
    ):
        trial.outside = outside
        found = trial.item()
        assert found.verdict is Verdict.UNKNOWN
        assert words in found.evidence
    assert not trial.hosts.asked


def test_a_fleet_of_one_worker(trial: Trial) -> None:
    for name in ("berry", "win"):
        trial.changed(name, without=("icecream",))
    trial.changed("mac", compiler=None)
    assert trial.item() == Item(
        "compile", "", Verdict.OK, "no second worker: everybody compiles at home"
    )
