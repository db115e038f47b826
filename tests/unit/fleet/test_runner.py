"""pyinfra as a process that tells: real pyinfra, hosts that only pretend."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fleet.problems import FleetError
from fleet.run import Run
from fleet.runner import INVENTORY, Event, Runner
from tests.golden import FLEET, target

PI, WRONG = "@fake/rpi1", "@fake/rpi2"
RUN = Run("1-a", "anna", "desk", "now", "plan")


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setenv(INVENTORY, "tests/unit/core/deploy_inventory.py")
    monkeypatch.setenv("FLEET_FILE", str(FLEET))
    monkeypatch.setenv("TS_AUTH_KEY", "a-key-that-lets-hosts-in")
    return Runner(replace(target(), name="real"), RUN, tmp_path / "log")


def test_a_look_tells_of_each_host_what_would_change(runner: Runner) -> None:
    heard: list[Event] = []
    outcome = runner.look([PI, WRONG], heard.append)
    assert tuple(heard) == outcome.events
    assert not outcome.stopped
    of = {name: [event for event in heard if event["host"] == name] for name in (PI, WRONG)}
    kinds = {name: {event["event"] for event in events} for name, events in of.items()}
    assert kinds[PI] == {"connected", "change", "skipped"}
    assert "failed" in kinds[WRONG]
    (fault,) = {event["text"] for event in of[WRONG] if event["event"] == "failed"}
    assert "fleet.yaml says arch: aarch64" in fault
    made = [line for event in of[PI] for line in event.get("changes", ())]
    assert "file /etc/systemd/journald.conf.d/agentfleet.conf: create" in made
    diffs = [diff for event in of[PI] for diff in event.get("diffs", ())]
    assert any("+SystemMaxUse=" in diff for diff in diffs)
    assert {event["phase"] for event in of[PI] if event["event"] == "change"} == {"plan"}


def test_a_pyinfra_that_breaks_is_an_error_with_its_last_words(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(INVENTORY, "no/such/inventory.py")
    with pytest.raises(FleetError, match=r"did not get as far as the hosts") as raised:
        runner.look([PI], lambda event: None)
    assert str(runner.log) in str(raised.value)
