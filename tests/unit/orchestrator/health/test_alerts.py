"""Whatever happens to a fleet: what is told lasted for two rounds, and is told once."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.health import alerts
from orchestrator.health.alerts import Change, Message, Track, compare, compose, post, tried
from orchestrator.health.model import Item, Verdict

OK, WARNING, FAILED = Verdict.OK, Verdict.WARNING, Verdict.FAILED
PENDING, UNKNOWN = Verdict.PENDING, Verdict.UNKNOWN
CHANNELS = ("alert_ntfy", "alert_webhook")
NAMES = ("disk@pi", "agent@pi", "reached@lap", "scheduler")
HOSTS = {"pi", "lap"}
verdicts = st.sampled_from([*Verdict, None])  # None: not there at all
rounds = st.lists(st.fixed_dictionaries(dict.fromkeys(NAMES, verdicts)), max_size=12)


def item(name: str, verdict: Verdict, evidence: str = "so it is") -> Item:
    kind, _, host = name.partition("@")
    return Item(kind, host, verdict, evidence, "do it")


def told(history: list[dict[str, Verdict | None]]) -> list[list[Change]]:
    """What was told after each round, a minute from one to the next."""
    tracks: dict[str, Track] = {}
    found = []
    for number, one in enumerate(history):
        items = [item(name, verdict) for name, verdict in one.items() if verdict]
        tracks, changes = compare(tracks, items, HOSTS, 60.0 * number)
        found.append(list(changes))
    return found


def of_one(*history: Verdict | None) -> list[list[tuple[int, int]]]:
    """The levels before and after, of one item."""
    changes = told([{"disk@pi": verdict} for verdict in history])
    return [[(one.before, one.now) for one in after] for after in changes]


@pytest.mark.parametrize(
    ("history", "changes"),
    [
        ([FAILED], [[]]),
        ([FAILED, FAILED, FAILED], [[], [(0, 2)], []]),
        ([FAILED, OK, FAILED, OK], [[]] * 4),
        ([FAILED, FAILED, OK, FAILED, OK, OK], [[], [(0, 2)], [], [], [], [(2, 0)]]),
        ([WARNING, FAILED, FAILED], [[], [(0, 2)], []]),
        ([WARNING, WARNING, FAILED, FAILED], [[], [(0, 1)], [], [(1, 2)]]),
        ([FAILED, FAILED, WARNING, WARNING], [[], [(0, 2)], [], [(2, 1)]]),
        ([FAILED, PENDING, FAILED, FAILED], [[], [], [], [(0, 2)]]),
        ([FAILED, UNKNOWN, FAILED], [[]] * 3),
        ([FAILED, FAILED, PENDING, PENDING, OK, OK], [[], [(0, 2)], [], [], [], [(2, 0)]]),
        ([FAILED, FAILED, None, None, FAILED, FAILED], [[], [(0, 2)], [], [], [], []]),
        ([PENDING] * 5, [[]] * 5),
        ([UNKNOWN] * 5, [[]] * 5),
    ],
)
def test_a_change_is_told_when_it_has_lasted(
    history: list[Verdict], changes: list[list[tuple[int, int]]]
) -> None:
    assert of_one(*history) == changes


@settings(deadline=None)
@given(rounds)
def test_what_is_told_lasted_for_two_rounds_and_is_another_each_time(
    history: list[dict[str, Verdict | None]],
) -> None:
    known = dict.fromkeys(NAMES, 0)
    for number, changes in enumerate(told(history)):
        assert len({one.item.name for one in changes}) == len(changes)
        for one in changes:
            name = one.item.name
            now, last = history[number][name], history[number - 1][name]
            assert number > 0
            assert now is not None
            assert last is not None
            levels = {alerts.LEVELS[now], alerts.LEVELS[last]}
            assert min(levels) > known[name] if one.is_worse else max(levels) < known[name]
            assert (one.before, one.now) == (known[name], alerts.LEVELS[now])
            known[name] = one.now


@settings(deadline=None)
@given(rounds)
def test_each_item_goes_its_own_way(history: list[dict[str, Verdict | None]]) -> None:
    """Whatever the others do, and in whichever order they are judged."""
    together = told(history)
    for name in NAMES:
        alone = told([{name: one[name]} for one in history])
        assert alone == [[one for one in after if one.item.name == name] for after in together]
    backwards = told([dict(reversed(one.items())) for one in history])
    assert backwards == together


@settings(deadline=None)
@given(st.lists(st.sampled_from([PENDING, UNKNOWN, None])), st.sampled_from([OK, FAILED]))
def test_what_cannot_be_judged_is_no_news(silence: list[Verdict | None], before: Verdict) -> None:
    assert not any(of_one(before, before, *silence)[2:])


@settings(deadline=None)
@given(st.lists(st.sampled_from([OK, WARNING, FAILED]), min_size=1), st.integers(2, 6))
def test_whatever_was_it_is_told_how_it_is_in_the_end(history: list[Verdict], times: int) -> None:
    changes = [*itertools.chain(*of_one(*history, *[history[-1]] * times))]
    assert (changes[-1][1] if changes else 0) == alerts.LEVELS[history[-1]]


def test_the_worst_of_two_of_a_name_counts() -> None:
    both = [item("disk@pi", OK), item("disk@pi", FAILED)]
    tracks, _ = compare({}, both, HOSTS, 0)
    assert tracks["disk@pi"].last == 2


def test_hosts_that_left_and_what_nobody_judges_is_forgotten() -> None:
    tracks = {
        "disk@gone": Track(2, 2, 0, 100),
        "disk@pi": Track(2, 2, 0, 100),
        "scheduler": Track(2, 2, 0, 100),
    }
    later, changes = compare(tracks, [], HOSTS, 200)
    assert (set(later), changes) == ({"disk@pi", "scheduler"}, ())
    assert compare(tracks, [], HOSTS, 101 + alerts.FORGET_S)[0] == {}


def test_one_message_says_all_of_a_round() -> None:
    broke = Change(item("disk@pi", FAILED, "97 % is used"), 0, 2)
    near = Change(item("tailnet@pi", WARNING), 0, 1)
    back = Change(item("agent@lap", OK, "it answers"), 2, 0)
    message = compose("home", (broke, near, back), CHANNELS, 5.0)
    assert message
    assert (message.title, message.level, message.left) == ("home: 2 worse, 1 better", 2, CHANNELS)
    assert message.lines == (
        "FAILED: disk@pi: 97 % is used -> do it",
        "WARNING: tailnet@pi: so it is -> do it",
        "ok again: agent@lap: it answers",
    )
    better = compose("home", (back,), CHANNELS, 5.0)
    assert better
    assert (better.title, better.level) == ("home: 1 better", 0)
    assert compose("home", (), CHANNELS, 5.0) is None
    assert compose("home", (broke,), (), 5.0) is None


def test_a_message_has_bounds_and_no_control_characters() -> None:
    many = tuple(Change(item(f"disk@h{n}", FAILED, "\x1b[31m\r\n"), 0, 2) for n in range(99))
    message = compose("home", many, CHANNELS, 5.0)
    assert message
    assert len(message.lines) == alerts.MOST_LINES + 1
    assert message.lines[-1] == "and 69 more"
    assert all(line.isprintable() for line in message.lines)


def messages(count: int) -> tuple[Message, ...]:
    outbox: tuple[Message, ...] = ()
    for number in range(count):
        outbox = post(outbox, alerts.note("t", ("x",), 2, CHANNELS, number))
    return outbox


def test_what_arrived_is_not_sent_again_and_the_rest_waits() -> None:
    first, second = messages(2)
    assert first.id != second.id
    (half, other) = tried((first, second), first.id, ["alert_ntfy"])
    assert (half.left, half.tries, other) == (("alert_webhook",), 1, second)
    assert tried((half, second), first.id, ["alert_webhook"]) == (second,)


@settings(deadline=None)
@given(st.lists(st.sets(st.sampled_from(CHANNELS)), max_size=9))
def test_no_channel_gets_a_message_twice(arrivals: list[set[str]]) -> None:
    outbox, got = messages(1), list[str]()
    (message,) = outbox
    for arrived in arrivals:
        left = outbox[0].left if outbox else ()
        got += sorted(arrived & {*left})
        outbox = tried(outbox, message.id, arrived & {*left})
    assert len(got) == len(set(got))
    assert {*got} | {*(outbox[0].left if outbox else ())} == {*CHANNELS}


def test_what_waits_is_bounded() -> None:
    outbox = messages(alerts.MOST_WAITING + 5)
    assert len(outbox) == alerts.MOST_WAITING
    assert outbox[0].at == 5
    for _ in range(alerts.MOST_TRIES):
        outbox = tried(outbox, outbox[0].id, ())
    assert len(outbox) == alerts.MOST_WAITING - 1
