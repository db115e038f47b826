"""Which host a task gets, and what people are told about it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.registry.model import Budgets, Condition, Purse
from orchestrator.tasks.model import Choice, State, Task, Wish
from orchestrator.tasks.placement import AWAY, Situation, choose, moment
from tests.unit.orchestrator.tasks.fleets import HOSTS, USD, agent, budgets, fleet, money

C = Condition


def task(number: int, host: str, cap: int | None = None, state: State = State.RUNNING) -> Task:
    return Task(number, "t", "p", Wish(), state, "ann", 0, cap=cap, host=host, session="s-1")


def chosen(
    wish: Wish,
    conditions: Mapping[str, C] = MappingProxyType({}),
    *,
    cap: int | None = None,
    having: tuple[Task, ...] = (),
) -> Choice:
    return choose(wish, cap, Situation.of(fleet(**conditions), budgets(), having, {}))


@pytest.mark.parametrize(
    ("wish", "conditions", "host"),
    [
        (Wish(), {}, "rpi1"),
        (Wish(), {"rpi1": C.WORKING}, "rpi2"),
        (Wish(host="imac"), {}, "imac"),
        (Wish(role="headless-mac"), {}, "mini"),
        (Wish(arch="x86_64"), {}, "mini"),
        (Wish(os="macos"), {"mini": C.STUCK}, "imac"),
        (Wish(root=True), {}, "rpi2"),
        (Wish(compilers=True, root=True), {}, "rpi2"),
        (Wish(root=True), {"rpi2": C.UNREACHABLE}, "mini"),
        # who is away is stood in for by what is always on; who works is waited for
        (Wish(host="imac"), {"imac": C.ASLEEP}, "rpi1"),
        (Wish(host="imac", os="macos"), {"imac": C.ASLEEP}, "mini"),
        (Wish(host="rpi2"), {"rpi2": C.UNREACHABLE}, "rpi1"),
        (Wish(host="rpi2"), {"rpi2": C.WORKING}, ""),
        (Wish(host="imac", failover=False), {"imac": C.ASLEEP}, ""),
        (Wish(host="imac", failover=False), {}, "imac"),
        # one that may sleep comes last, and stands in for nobody
        (Wish(), {"rpi1": C.WORKING, "rpi2": C.WORKING, "mini": C.WORKING}, "imac"),
        (Wish(host="mini"), {"mini": C.STUCK, "rpi1": C.WORKING, "rpi2": C.WORKING}, ""),
    ],
)  # fmt: skip
def test_the_host_is(wish: Wish, conditions: dict[str, C], host: str) -> None:
    choice = chosen(wish, conditions)
    assert choice.host == host, choice
    assert not choice.hopeless


@pytest.mark.parametrize(
    ("wish", "cap", "words"),
    [
        (Wish(host="nowhere", failover=False), None, "there is no agent on nowhere"),
        (
            Wish(host="rpi1", root=True, failover=False),
            None,
            "rpi1 cannot do it: it has an agent that may not",
        ),
        (Wish(arch="riscv"), None, "rpi1 is aarch64, not riscv"),
        (Wish(role="pi", os="macos"), None, "no host of the fleet can do it"),
        (Wish(), 16 * USD, "rpi1 may spend $15.00 a day, not $16.00"),
    ],
)
def test_what_can_never_be_is_said(wish: Wish, cap: int | None, words: str) -> None:
    choice = chosen(wish, cap=cap)
    assert choice.hopeless
    assert choice.host == ""
    assert words in choice.why


def test_a_host_that_is_off_is_no_hope() -> None:
    assert chosen(Wish(role="headless-mac"), {"mini": C.OFF}).hopeless
    assert not chosen(Wish(role="headless-mac"), {"mini": C.UNREACHABLE}).hopeless


def test_the_words_say_which_and_why() -> None:
    at = time.time()
    agents = (agent("rpi2"), agent("imac", C.ASLEEP, since=at))
    known = budgets(rpi2=money(day=10_800_000))
    choice = choose(Wish(host="imac"), None, Situation(agents, known))
    since = f"sleeps since {moment(at)}"
    assert choice.why == f"rpi2: idle, always on, $4.20 left; preferred imac {since}"
    assert [(one.host, one.fits) for one in choice.verdicts] == [("rpi2", True), ("imac", False)]
    assert choice.verdicts[1].reason == since


def test_the_words_say_what_it_waits_for() -> None:
    choice = chosen(Wish(role="pi"), {"rpi2": C.STUCK}, having=(task(7, "rpi1"),))
    assert choice.why == "waits: rpi1 works on task 7; rpi2 is stuck in a dialog"
    choice = chosen(Wish(host="rpi2"), {"rpi2": C.WORKING})
    assert choice.why == "waits: rpi2 works on something that is no task"


def test_what_is_lost_on_a_host_keeps_it_until_that_is_known() -> None:
    lost = task(3, "rpi1", state=State.LOST)
    choice = chosen(Wish(host="rpi1", failover=False), having=(lost,))
    assert choice.why == "waits: rpi1 has task 3, which was lost there and may come back"


def test_a_host_whose_money_was_taken_away_gets_nothing() -> None:
    now = Situation(fleet(), budgets(), held={"rpi1": "ann"})
    assert choose(Wish(role="pi"), None, now).host == "rpi2"
    assert "stopped by ann" in choose(Wish(host="rpi1", failover=False), None, now).why
    assert choose(Wish(host="rpi1"), None, now).host == "rpi2"


# money


def test_the_most_money_goes_first() -> None:
    known = budgets(rpi1=money(day=9 * USD), rpi2=money(day=8 * USD), mini=money(day=14 * USD))
    assert choose(Wish(), None, Situation(fleet(), known)).host == "rpi2"


def test_a_host_without_enough_for_the_day_is_passed_over() -> None:
    known = budgets(rpi1=money(day=12 * USD), rpi2=money(day=15 * USD))
    now = Situation(fleet(), known)
    assert choose(Wish(role="pi"), 2 * USD, now).host == "rpi1"
    choice = choose(Wish(role="pi"), 4 * USD, now)
    assert choice.why == (
        "waits: rpi1 has $3.00 left today, and the task may need $4.00; rpi2 has $0.00 left today"
    )
    assert not choice.hopeless


def test_what_other_tasks_may_still_spend_is_not_given_away_twice() -> None:
    known = budgets(Purse(90 * USD, 100 * USD), rpi1=money(spent=2 * USD))
    having = (task(1, "rpi1", cap=8 * USD),)
    now = Situation.of(fleet(), known, having, {})
    assert now.promised == 6 * USD
    assert choose(Wish(), 4 * USD, now).host == "rpi2"
    assert "whole fleet" in choose(Wish(), 5 * USD, now).why
    later = Situation.of(fleet(), known, [replace(having[0], state=State.QUEUED)], {})
    assert choose(Wish(), 5 * USD, later).host == "rpi1"


def test_only_the_session_is_spent_and_a_task_has_a_new_one() -> None:
    agents = (agent("rpi1", C.OVER_BUDGET),)
    spent = budgets(rpi1=money(spent=5 * USD, day=5 * USD))
    assert choose(Wish(), None, Situation(agents, spent)).host == "rpi1"
    over = budgets(rpi1=money(spent=5 * USD, day=15 * USD))
    assert choose(Wish(), None, Situation(agents, over)).why == "waits: rpi1 has spent its money"


def test_a_gateway_that_says_nothing_stops_nobody() -> None:
    assert choose(Wish(), 4 * USD, Situation(fleet(), Budgets({}, fault="down"))).host == "rpi1"


# whatever the fleet is like

conditions = st.fixed_dictionaries({one.name: st.sampled_from(C) for one in HOSTS})
wishes = st.builds(
    Wish,
    host=st.sampled_from(["", "nowhere", *(one.name for one in HOSTS)]),
    role=st.sampled_from(["", "pi", "headless-mac"]),
    arch=st.sampled_from(["", "x86_64", "aarch64"]),
    os=st.sampled_from(["", "macos"]),
    root=st.booleans(),
    compilers=st.booleans(),
    failover=st.booleans(),
)


@given(wishes, conditions, st.sets(st.sampled_from([one.name for one in HOSTS])))
def test_no_choice_breaks_a_wish(wish: Wish, known: dict[str, C], busy: set[str]) -> None:
    having = tuple(task(number, host) for number, host in enumerate(sorted(busy), 1))
    now = Situation.of(fleet(**known), budgets(), having, {})
    choice = choose(wish, None, now)
    assert choice == choose(wish, None, now)
    assert [one.host for one in choice.verdicts] == [one.name for one in HOSTS]
    assert all(one.reason for one in choice.verdicts)
    assert choice.why
    if not choice.host:
        assert not any(one.fits for one in choice.verdicts)
        return
    assert not choice.hopeless
    (host,) = [one for one in HOSTS if one.name == choice.host]
    assert known[host.name] is C.IDLE
    assert host.name not in busy
    assert wish.role in {"", host.role}
    assert wish.arch in {"", host.arch}
    assert wish.os in {"", host.os}
    assert host.root or not wish.root
    assert host.compilers or not wish.compilers
    if wish.host not in {"", host.name}:
        assert wish.failover
        assert not host.may_sleep
        preferred = next((one for one in HOSTS if one.name == wish.host), None)
        if preferred is not None and known[wish.host] not in AWAY:
            fits = (
                wish.role in {"", preferred.role}
                and wish.arch in {"", preferred.arch}
                and wish.os in {"", preferred.os}
                and preferred.root >= wish.root
                and preferred.compilers >= wish.compilers
            )
            assert not fits
