"""What a round remembers is read as it was written; anything else is an error, never a crash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.health.alerts import NAMES, Message, Track
from orchestrator.health.model import Item, Verdict
from orchestrator.health.report import GRACE_S, MISSED, NEVER, Report, read_report
from orchestrator.health.state import State, StateError, load, save

words = st.text(max_size=20)
moments = st.floats(0, 2**33)
levels = st.sampled_from([*NAMES])
names = st.dictionaries(words, words, max_size=3)
items = st.lists(st.builds(Item, words, words, st.sampled_from(Verdict), words, words), max_size=3)
tracks = st.builds(Track, levels, st.none() | levels, moments, moments)
lines = st.lists(words, max_size=3).map(tuple)
messages = st.builds(Message, words, moments, words, lines, levels, lines, st.integers(0, 9))
states = st.builds(
    State,
    moments,
    moments,
    items.map(tuple),
    st.dictionaries(words, tracks, max_size=3),
    st.lists(messages, max_size=3).map(tuple),
    names,
    moments,
)
SOUND: dict[str, Any] = {
    "version": 1,
    "began": 1,
    "ended": 2,
    "items": [],
    "tracks": {},
    "outbox": [],
    "faults": {},
    "crashed": 0,
}


@settings(deadline=None)
@given(states)
def test_it_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, it: State) -> None:
    path = tmp_path_factory.mktemp("state") / "state.json"
    save(path, it)
    assert load(path) == it
    assert [one.name for one in path.parent.iterdir()] == ["state.json"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_none_is_a_new_one(tmp_path: Path) -> None:
    assert load(tmp_path / "none") == State()


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        "{}",
        "[" * 5000,
        {"version": 2},
        {"items": [{"kind": "x"}]},
        {"items": 7},
        {"tracks": {"x": {"told": 9, "last": None, "since": 0, "seen": 0}}},
        {"tracks": {"x": {"told": True, "last": None, "since": 0, "seen": 0}}},
        {"outbox": {"x": 1}},
        {"ended": "late"},
        {"faults": []},
    ],
)
def test_what_is_none_of_ours_is_refused(tmp_path: Path, said: str | dict[str, Any]) -> None:
    path = tmp_path / "state.json"
    path.write_text(said if isinstance(said, str) else json.dumps({**SOUND, **said}))
    with pytest.raises(StateError, match=r"state\.json"):
        load(path)
    report = read_report(path, 300)
    assert report.fault
    assert report.silence(0)


def test_what_is_sound_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps(SOUND))
    assert load(path) == State(1, 2)


def test_silence_is_noticed_when_three_rounds_were_missed() -> None:
    limit = MISSED * 300 + GRACE_S
    report = Report(300, ended=1000)
    assert report.silence(1000 + limit) == ""
    assert report.silence(1001 + limit) == ("the latest round of the monitoring ended 16 min ago")
    assert report.silence(1e6, since=1e6 - 10) == "", "nobody knows yet what was missed"
    assert Report(300).silence(1e6) == NEVER
    assert Report(300).silence(1e6, since=1e6 - 10) == ""
    assert report.silence(900) == "", "a clock that was set back"


def test_a_report_has_what_does_not_arrive(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    bad = Item("disk", "pi", Verdict.FAILED, "full", "make room")
    save(path, State(1, 2, (bad,), faults={"alert_ntfy": "it answers 403", "alert_webhook": ""}))
    report = read_report(path, 300)
    assert report.undelivered == {"alert_ntfy": "it answers 403"}
    assert report.of(Verdict.FAILED) == (bad,)
    assert report.of(Verdict.OK) == ()
