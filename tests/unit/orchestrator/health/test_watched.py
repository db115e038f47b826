"""Whether the monitoring lives, as `fleet check` asks and as the page notices."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from orchestrator.health import gather
from orchestrator.health.gather import _monitoring
from orchestrator.health.model import Item, Verdict
from orchestrator.health.state import State, save
from orchestrator.registry import looked
from orchestrator.registry.looked import Looked
from tests.unit.conftest import FakeProgram, on_linux
from tests.unit.orchestrator.web.desks import config

LONG_AGO = "ActiveEnterTimestampMonotonic=1"


def says(*lines: str) -> str:
    return "\n".join(f"echo {line}" for line in ("LoadState=loaded", *lines))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


@on_linux
@pytest.mark.parametrize(
    ("timer", "age_s", "said"),
    [
        (says("ActiveState=active", LONG_AGO), 100, ""),
        (says("LoadState=masked", "ActiveState=inactive"), 100, "is masked"),
        (says("ActiveState=inactive"), 100, "does not run"),
        (says("ActiveState=failed"), 100, "does not run"),
        ("exit 1", 100, "systemd does not say"),
        ("sleep 9", 100, "systemd does not say"),
    ],
)
def test_a_check_asks_the_timer_first(
    tmp_path: Path,
    state: Path,
    program: FakeProgram,
    monkeypatch: pytest.MonkeyPatch,
    timer: str,
    age_s: float,
    said: str,
) -> None:
    monkeypatch.setattr(gather, "SYSTEMD_S", 2.0)
    monkeypatch.setenv("PATH", f"{program('systemctl', timer)}:/usr/bin:/bin")
    save(state, State(1, time.time() - age_s))
    found = _monitoring(config(tmp_path, health=state, health_s=300), watched=True)
    assert found is not None
    assert said in found
    assert bool(found) is bool(said)


@on_linux
def test_a_timer_that_was_only_just_started_has_missed_nothing(
    tmp_path: Path, state: Path, program: FakeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = config(tmp_path, health=state, health_s=0.01)
    monkeypatch.setattr("orchestrator.health.report.GRACE_S", 30.0)
    now = int(time.monotonic() * 1e6)
    for since, said in ((now, ""), (now - 60 * 1_000_000, "no round of the monitoring")):
        started = says("ActiveState=active", f"ActiveEnterTimestampMonotonic={since}")
        monkeypatch.setenv("PATH", f"{program('systemctl', started)}:/usr/bin:/bin")
        found = _monitoring(known, watched=True)
        assert found is not None
        assert found[:26] == said


def test_where_there_is_none_nobody_is_asked(tmp_path: Path, state: Path) -> None:
    assert _monitoring(config(tmp_path), watched=True) is None
    assert _monitoring(config(tmp_path, health=state), watched=False) is None


def test_the_page_hears_of_each_round_and_of_silence(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looked, "POLL_S", 0.01)
    known = config(tmp_path, health=state, health_s=300)
    news = asyncio.Event()
    one = Looked(known, news.set)

    async def heard() -> None:
        await asyncio.wait_for(news.wait(), 10)
        news.clear()

    async def run() -> None:
        task = asyncio.create_task(one.run())
        await heard()
        assert one.report is not None
        assert (one.report.ended, one.silence()) == (0, "")
        bad = Item("disk", "pi", Verdict.FAILED, "full")
        save(state, State(1, time.time() - 10, (bad,)))
        await heard()
        assert one.report.items == (bad,)
        monkeypatch.setattr(one, "_began", 0.0)
        save(state, State(1, time.time() - 7200, (bad,)))
        await heard()
        assert "ended 120 min ago" in one.silence()
        state.write_text("{")
        await heard()
        assert "state.json" in one.silence()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_without_monitoring_the_page_knows_nothing(tmp_path: Path) -> None:
    one = Looked(config(tmp_path), lambda: None)
    asyncio.run(asyncio.wait_for(one.run(), 5))
    assert (one.report, one.silence()) == (None, "")
