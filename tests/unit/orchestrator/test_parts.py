"""The gateway's parts: prices, meters, caps and the ledger, each alone."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.configuration import ConfigError
from orchestrator.gateway.caps import Purse, Spent, refusal, warning
from orchestrator.gateway.config import Caps, read_config
from orchestrator.gateway.ledger import PLAN, Ledger, RefusedError
from orchestrator.gateway.meter import OUTPUT_HELD_BACK, estimate, meter
from orchestrator.gateway.money import MICROS, micros, shown
from orchestrator.gateway.prices import UnpricedError, Usage, _table, price
from tests.unit.orchestrator.upstream import events

SSE = "text/event-stream; charset=utf-8"


# money


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0, "$0.00"), (1, "$0.01"), (10_000, "$0.01"), (10_001, "$0.02"), (5_030_000, "$5.03")],
)
def test_little_is_never_nothing(amount: int, words: str) -> None:
    assert shown(amount) == words


# prices


@pytest.mark.parametrize(
    ("request_", "usage", "dollars"),
    [
        ({"model": "claude-opus-5-5"}, Usage(input=1_000_000), 4),
        ({"model": "claude-opus-5-5"}, Usage(output=1_000_000), 20),
        ({"model": "claude-opus-5-5", "speed": "fast"}, Usage(output=1_000_000), 40),
        ({"model": "claude-opus-5-5", "speed": "standard"}, Usage(cache_read=1_000_000), 0.2),
        ({"model": "claude-opus-4-5-20251101"}, Usage(cache_write_5m=1_000_000), 6.25),
        ({"model": "claude-opus-4-5"}, Usage(cache_write_1h=1_000_000), 10),
        ({"model": "claude-sonnet-4-20250514"}, Usage(input=1_000_000), 3),
        ({"model": "claude-sonnet-4-0"}, Usage(input=1_000_000), 3),
        ({"model": "claude-3-5-haiku-latest"}, Usage(input=1_000_000), 0.8),
        ({"model": "claude-opus-5", "inference_geo": "us"}, Usage(input=1_000_000), 5.5),
        ({"model": "claude-opus-5", "inference_geo": "global"}, Usage(input=1_000_000), 5),
        ({"model": "claude-opus-5"}, Usage(web_searches=100), 1),
        ({"model": "claude-haiku-5-5"}, Usage(input=100_000), 0.01),
        ({"model": "claude-haiku-5-5"}, Usage(input=1_000, cache_read=99_001), 0.00545005),
    ],
)
def test_what_it_costs(request_: dict[str, Any], usage: Usage, dollars: float) -> None:
    assert price(request_).cost(usage) == -(-round(dollars * MICROS * 1000) // 1000)


def test_every_model_has_a_tier_and_every_tier_five_prices() -> None:
    table = _table()
    assert {*table["models"].values(), *table["fast"].values()} == set(table["tiers"])
    assert all(len(tier) == 5 for tier in table["tiers"].values())
    for model in (*table["models"], *table["fast"]):
        assert price({"model": model}).cost(Usage(input=1)) > 0


@pytest.mark.parametrize("model", ["claude-opus-99", "opus", "claude-opus-5-5x", None, 3])
def test_an_unknown_model_is_named(model: object) -> None:
    with pytest.raises(UnpricedError, match=str(model)):
        price({"model": model})


# meters


def whole(**prompt: Any) -> bytes:
    return b"".join(events(prompt, "claude-x"))


def read(raw: bytes, content_type: str = SSE, encoding: str = "", size: int = 0) -> Usage | None:
    found = meter(content_type, encoding)
    for at in range(0, len(raw), size or len(raw) or 1):
        found.feed(raw[at : at + (size or len(raw))])
    return found.usage()


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_pieces_of_any_size_are_read(size: int, encoding: str) -> None:
    raw = whole(input=7, output=9, say="ü")
    packed = gzip.compress(raw) if encoding else raw
    found = read(packed, encoding=encoding, size=size)
    assert found == Usage(input=7, output=9)


def test_cut_short_it_is_never_less_than_was_written() -> None:
    raw = whole(input=7, output=9, pieces=30)
    written = raw.index(b"event: content_block_stop")
    found = read(raw[:written])
    assert found is not None
    assert found.input == 7
    assert found.output >= 30 * len("piece 1 of")
    assert read(raw[:10]) is None


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        ({"input_tokens": 1, "output_tokens": 2}, Usage(1, 2)),
        ({"cache_creation_input_tokens": 5, "cache_read_input_tokens": 3}, Usage(0, 0, 5, 0, 3)),
        (
            {
                "cache_creation_input_tokens": 5,
                "cache_creation": {"ephemeral_1h_input_tokens": 4, "ephemeral_5m_input_tokens": 1},
            },
            Usage(0, 0, 1, 4),
        ),
        ({"server_tool_use": {"web_search_requests": 2}}, Usage(web_searches=2)),
        ({"input_tokens": None, "output_tokens": "many", "cache_creation": None}, Usage()),
    ],
)
def test_what_usage_says(said: dict[str, Any], usage: Usage) -> None:
    assert read(json.dumps({"usage": said}).encode(), "application/json") == usage


def test_usage_that_comes_twice_is_cumulated_by_the_api_itself() -> None:
    start = {"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 5}
    lines = [
        {"type": "message_start", "message": {"usage": start}},
        {"type": "message_delta", "usage": {"output_tokens": 50}},
        {"type": "message_delta", "usage": {"output_tokens": 80, "input_tokens": 12}},
    ]
    raw = b"".join(f"data: {json.dumps(line)}\n\n".encode() for line in lines)
    assert read(raw) == Usage(input=12, output=80, cache_read=5)


@pytest.mark.parametrize(
    "raw",
    [b"", b"data: {\n\n", b"data: 3\n\n", b"\xff\xfe\n", b'data: {"type": "message_start"}\n'],
)
def test_what_says_nothing_of_usage_is_unknown(raw: bytes) -> None:
    assert read(raw) is None
    assert read(raw, "application/json") is None
    assert read(raw or b"x", encoding="gzip") is None
    assert read(raw, encoding="br") is None


@given(st.binary(max_size=200))
def test_no_bytes_break_a_meter(raw: bytes) -> None:
    for encoding in ("", "gzip"):
        read(raw, encoding=encoding, size=3)


def test_no_more_than_usual_is_held_back() -> None:
    assert estimate(b"x" * 400, {"max_tokens": 128_000}) == Usage(100, OUTPUT_HELD_BACK)
    assert estimate(b"x", {"max_tokens": 10}) == Usage(1, 10)
    assert estimate(b"", {"max_tokens": "all"}) == Usage(0, OUTPUT_HELD_BACK)


# caps


@given(
    cap=st.integers(0, 10_000),
    calls=st.lists(
        st.tuples(st.integers(1, 3000), st.integers(1, 3000), st.booleans()), max_size=60
    ),
)
def test_a_cap_is_exceeded_by_what_is_under_way_at_most(
    cap: int, calls: list[tuple[int, int, bool]]
) -> None:
    """Whatever is held back, whatever it costs in the end, and in whatever order calls end."""
    settled = 0
    flying: list[tuple[int, int]] = []
    for held, cost, ends in calls:
        reserved = sum(one for one, _ in flying)
        purse = Purse("it", Spent(settled, reserved), cap)
        if not refusal((purse,), held, "h"):
            assert settled < cap
            assert not flying or settled + reserved + held <= cap
            flying.append((held, cost))
        if ends and flying:
            settled += flying.pop(0)[1]
    assert settled <= cap + max((cost for _, cost, _ in calls), default=0) * max(1, len(calls))


def test_alone_a_call_may_use_what_is_left() -> None:
    assert refusal((Purse("it", Spent(99, 0), 100),), 50, "h") == ""
    assert "it has spent" in refusal((Purse("it", Spent(99, 1), 100),), 50, "h")
    assert "it has spent" in refusal((Purse("it", Spent(100, 0), 100),), 0, "h")
    assert refusal((Purse("it", Spent(100, 100), None),), 50, "h") == ""


def test_a_cap_of_nothing_lets_nothing_through() -> None:
    assert refusal((Purse("it", Spent(), 0),), 1, "h")
    assert warning((Purse("it", Spent(), None),), 80) == ""


# the ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "l", today=lambda: "2026-01-01")


CAPS = Caps(session=micros(5), daily=micros(15))


def test_a_token_is_kept_as_its_digest(ledger: Ledger, tmp_path: Path) -> None:
    made = ledger.issue("rpi1", CAPS.session)
    assert ledger.session_of(made.token) == made.session
    assert made.token.startswith("agentfleet-")
    assert len(made.token) > 50
    ledger.close()
    for file in tmp_path.iterdir():
        assert made.token.encode() not in file.read_bytes()


def test_what_was_reserved_is_charged_when_nobody_settles(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "l")
    session = first.issue("rpi1", CAPS.session).session
    number = first.reserve(session, "m", 100, CAPS, None)
    first.settle(number, 40, Usage(1, 2))
    first.reserve(session, "m", 300, CAPS, None)
    assert first.spent_by(session).spent == Spent(40, 300)
    second = Ledger(tmp_path / "l")  # as after a crash: the first one was never closed
    assert second.orphans == 1
    assert second.spent_by(session).spent == Spent(340, 0)
    assert Ledger(tmp_path / "l").orphans == 0


def test_a_refusal_leaves_nothing_behind(ledger: Ledger) -> None:
    session = ledger.issue("rpi1", 100).session
    ledger.settle(ledger.reserve(session, "m", 50, CAPS, None), 120, Usage())
    with pytest.raises(RefusedError, match="this session has spent"):
        ledger.reserve(session, "m", 1, CAPS, None)
    assert ledger.spent_by(session).spent == Spent(120, 0)


def test_a_session_that_is_revoked_meanwhile_pays_nothing_more(ledger: Ledger) -> None:
    """Its token was good when the call began to arrive."""
    session = ledger.issue("rpi1", CAPS.session).session
    ledger.revoke(session.id)
    with pytest.raises(RefusedError, match="was revoked"):
        ledger.reserve(session, "m", 1, CAPS, None)
    assert ledger.spent_by(session).spent == Spent()


def test_each_day_begins_with_nothing_spent(tmp_path: Path) -> None:
    day = ["2026-01-01"]
    ledger = Ledger(tmp_path / "l", today=lambda: day[0])
    session = ledger.issue("rpi1", micros(1000)).session
    ledger.settle(ledger.reserve(session, "m", 1, CAPS, None), micros(16), Usage())
    with pytest.raises(RefusedError, match="this host's day"):
        ledger.reserve(session, "m", 1, CAPS, None)
    day[0] = "2026-01-02"
    ledger.settle(ledger.reserve(session, "m", 1, CAPS, None), micros(1), Usage())
    assert [(one["day"], one["spent"]) for one in ledger.days(5)] == [
        ("2026-01-02", micros(1)),
        ("2026-01-01", micros(16)),
    ]
    assert len(ledger.days(1)) == 1


VERSION_1 = """
CREATE TABLE sessions (id TEXT PRIMARY KEY, host TEXT NOT NULL, token TEXT NOT NULL UNIQUE,
    cap INTEGER NOT NULL, state TEXT NOT NULL, issued REAL NOT NULL, ended REAL,
    warned INTEGER NOT NULL DEFAULT 0);
CREATE TABLE calls (id INTEGER PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions (id),
    host TEXT NOT NULL, day TEXT NOT NULL, model TEXT NOT NULL, started REAL NOT NULL, ended REAL,
    reserved INTEGER NOT NULL, cost INTEGER NOT NULL DEFAULT 0, input INTEGER NOT NULL DEFAULT 0,
    output INTEGER NOT NULL DEFAULT 0, note TEXT NOT NULL DEFAULT '');
INSERT INTO sessions VALUES ('s-old', 'pi', 'digest', 5000000, 'live', 1, NULL, 1);
INSERT INTO calls VALUES (1, 's-old', 'pi', '2026-01-01', 'm', 1, 2, 9, 700, 1, 1, '');
PRAGMA user_version = 1;
"""


def test_a_ledger_of_version_1_goes_on(tmp_path: Path) -> None:
    """Fleets that run have one: no session ends and no cent is forgotten."""
    with closing(sqlite3.connect(tmp_path / "l")) as old:
        old.executescript(VERSION_1)
    ledger = Ledger(tmp_path / "l", today=lambda: "2026-01-01")
    session = ledger.current("pi")
    assert session is not None
    assert session.id == "s-old"
    assert ledger.spent_by(session).spent.settled == 700
    new = ledger.issue("pi", 100)
    assert [one.id for one in ledger.begin(new.session.id)] == ["s-old"]
    ledger.close()
    again = Ledger(tmp_path / "l").current("pi")
    assert again == new.session


def test_a_plan_ends_no_agents_session(ledger: Ledger) -> None:
    agent, plan = ledger.issue("pi", 100), ledger.issue("pi", 50, PLAN)
    assert ledger.begin(agent.session.id) == ()
    assert ledger.begin(plan.session.id) == ()
    assert ledger.current("pi") == agent.session
    second = ledger.issue("pi", 100)
    assert ledger.begin(second.session.id) == (agent.session,)
    assert ledger.session_of(plan.token) == plan.session
    assert set(ledger.revoke_host("pi")) == {plan.session, second.session}


def test_a_ledger_of_another_version_is_left_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    ledger._db.execute("PRAGMA user_version = 9")
    ledger.close()
    with pytest.raises(Exception, match="version 9"):
        Ledger(tmp_path / "l")


# the configuration


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"hosts": 3}'])
def test_a_configuration_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "c").write_text(text)
    with pytest.raises(ConfigError, match=str(tmp_path / "c")):
        read_config(tmp_path / "c")
