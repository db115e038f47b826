"""What the monitoring found: on its page, on every page when it is dead, in the API, in metrics."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestrator.health.model import Item, Verdict
from orchestrator.health.report import NEVER, Report
from orchestrator.web.who import Door
from tests.unit.orchestrator.web.desks import ALICE, MemoryDesk
from tests.unit.orchestrator.web.test_api import Client, guard

DEAD = "The fleet is not being looked after"


@pytest.fixture
def desk() -> MemoryDesk:
    return MemoryDesk()


@pytest.fixture
def alice(tmp_path: Path, desk: MemoryDesk) -> Client:
    return Client(guard(tmp_path, desk, Door.SOCKET), {"x-agentfleet-who": ALICE})


def page(alice: Client, path: str = "/health") -> str:
    return alice.ask("GET", path).text


def lively(desk: MemoryDesk, *items: Item) -> None:
    desk._report = Report(300, time.time() - 60, items)


def test_a_fault_is_shown_with_its_evidence_and_what_to_do(alice: Client, desk: MemoryDesk) -> None:
    lively(
        desk,
        Item("disk", "rpi1", Verdict.FAILED, "97 % of / is used", "fleet ssh rpi1 -- df -h"),
        Item("scheduler", "", Verdict.OK, "9 nodes"),
    )
    text = page(alice)
    for word in ("97 % of / is used", "fleet ssh rpi1 -- df -h", "1 min ago", "the fleet"):
        assert word in text
    assert DEAD not in text
    first = page(alice, "/")
    assert "The monitoring found 1 fault" in first
    assert "disk@rpi1" in first
    assert DEAD not in first


def test_all_is_well(alice: Client, desk: MemoryDesk) -> None:
    lively(desk, Item("disk", "rpi1", Verdict.OK, "40 % is used"))
    assert "Everything is well." in page(alice)
    assert "The monitoring found" not in page(alice, "/")


def test_every_page_says_that_nobody_looks(alice: Client, desk: MemoryDesk) -> None:
    for path in ("/", "/tasks", "/cluster", "/nothing-here"):
        assert DEAD in page(alice, path)
    assert "ended 300 min ago" in page(alice)
    desk._report = Report(300)
    assert NEVER in page(alice, "/tasks")
    assert "nobody has looked yet" in page(alice)


def test_what_does_not_arrive_is_said(alice: Client) -> None:
    assert "Alerts do not arrive: alert_ntfy: it answers 403" in page(alice)


def test_a_fleet_without_monitoring_is_no_fault(alice: Client, desk: MemoryDesk) -> None:
    desk._report = None
    assert "gives this fleet no monitoring" in page(alice)
    assert DEAD not in page(alice, "/")
    assert alice.get("/api/v1/health") == {
        "monitored": False,
        "ended": 0,
        "silent": "",
        "items": [],
        "undelivered": {},
    }
    assert "agentfleet_health" not in alice.ask("GET", "/metrics").text
    assert alice.get("/healthz")["watched"] is True


def test_programs_read_the_same(alice: Client, desk: MemoryDesk) -> None:
    said = alice.get("/api/v1/health")
    assert said["monitored"] is True
    assert said["silent"].startswith("the latest round of the monitoring ended")
    assert said["items"][1] == {
        "name": "service iceccd@rpi1",
        "kind": "service iceccd",
        "host": "rpi1",
        "verdict": "failed",
        "evidence": "it does not run",
        "advice": "",
    }
    assert said["undelivered"] == {"alert_ntfy": "it answers 403"}
    assert alice.get("/healthz")["watched"] is False
    metrics = alice.ask("GET", "/metrics").text
    for line in (
        'agentfleet_health_item{host="boss",kind="reached"} 0.0',
        'agentfleet_health_item{host="rpi2",kind="disk"} 1.0',
        'agentfleet_health_item{host="rpi1",kind="service iceccd"} 2.0',
        'agentfleet_health_item{host="tower",kind="reached"} 3.0',
        'agentfleet_health_item{host="rpi3",kind="node"} 4.0',
    ):
        assert line in metrics
    age = next(line for line in metrics.splitlines() if line.startswith("agentfleet_health_age"))
    assert float(age.split()[1]) == pytest.approx(18_000, abs=300)
    desk._report = Report(300)
    assert "agentfleet_health_age_seconds +Inf" in alice.ask("GET", "/metrics").text
