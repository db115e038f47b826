"""The store: what may follow what, what is found again, what is forgotten, and old databases."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.tasks.migrations import STEPS, VersionError, open_database
from orchestrator.tasks.model import (
    FOLLOWS,
    OPEN,
    Attachment,
    Audit,
    Code,
    Draft,
    Message,
    Patch,
    Plan,
    PlanState,
    State,
    Task,
    Wish,
)
from orchestrator.tasks.records import FILE_LIMIT, KEPT_S, UNUSED_S, TooLargeError
from orchestrator.tasks.store import OrderError, Store


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    found = Store(tmp_path / "tasks.sqlite", clock)
    yield found
    found.close()


def test_one_that_only_reads_sees_what_others_wrote_and_writes_nothing(
    store: Store, tmp_path: Path
) -> None:
    reading = Store(tmp_path / "tasks.sqlite", read_only=True)
    task = store.add(Draft("x"), "ann")
    assert reading.task(task.id) == task
    store.change(task.id, State.CANCELLED)
    assert reading.task(task.id).state is State.CANCELLED
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reading.add(Draft("y"), "ann")
    reading.close()


def brought_to(store: Store, state: State) -> Task:
    """A task in that state, by the shortest way there."""
    way = {
        State.DRAFT: (),
        State.QUEUED: (),
        State.RESERVED: (State.RESERVED,),
        State.RUNNING: (State.RESERVED, State.RUNNING),
        State.DONE: (State.RESERVED, State.RUNNING, State.DONE),
        State.FAILED: (State.FAILED,),
        State.CANCELLED: (State.CANCELLED,),
        State.LOST: (State.RESERVED, State.RUNNING, State.LOST),
    }[state]
    task = store.add(Draft("x"), "ann", State.DRAFT if state is State.DRAFT else State.QUEUED)
    for step in way:
        task = store.change(task.id, step)
    return task


def test_a_task_is_what_was_asked_for(tmp_path: Path, store: Store, clock: Clock) -> None:
    file = store.records.keep("a.txt", b"A")
    bundle = store.records.keep("b", b"B")
    draft = Draft(
        "Look at it\nand mend it.",
        wish=Wish(role="pi", arch="aarch64", root=True, failover=False),
        cap=5_000_000,
        attachments=(file,),
        code=Code(bundle.sha256, "a" * 40, "main", "thing"),
        retries=2,
    )
    made = store.add(draft, "ann", plan=3, step="mend", after=(1, 2))
    store.close()
    again = Store(tmp_path / "tasks.sqlite")
    assert (
        again.task(made.id)
        == made
        == Task(
            id=1,
            title="Look at it",
            prompt=draft.prompt,
            wish=draft.wish,
            state=State.QUEUED,
            by="ann",
            created=clock.now,
            cap=draft.cap,
            attachments=(Attachment("a.txt", file.sha256, 1),),
            code=draft.code,
            plan=3,
            step="mend",
            after=(1, 2),
            changed=clock.now,
            retries=2,
        )
    )
    again.close()


def test_a_long_first_line_is_cut(store: Store) -> None:
    assert store.add(Draft("word " * 50), "ann").title.endswith("word…")


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_only_what_may_follow_follows(store: Store, before: State, after: State) -> None:
    task = brought_to(store, before)
    events = store.events(task.id)
    if after in FOLLOWS[before]:
        assert store.change(task.id, after, "words", "bob").state is after
        last = store.events(task.id)[-1]
        assert (last.kind, last.text, last.by) == (after.value, "words", "bob")
    else:
        with pytest.raises(OrderError, match=f"task {task.id} is {before.value}"):
            store.change(task.id, after, host="rpi1")
        assert store.task(task.id) == task
        assert store.events(task.id) == events


def test_what_fails_in_the_middle_changes_nothing(store: Store) -> None:
    task = store.add(Draft("x"), "ann")
    with pytest.raises(TypeError, match="no colour"):
        store.change(task.id, State.RESERVED, colour="red")
    assert store.task(task.id) == task
    assert [event.kind for event in store.events(task.id)] == ["queued"]


def test_an_end_has_its_time_and_another_attempt_has_none(store: Store, clock: Clock) -> None:
    task = brought_to(store, State.RUNNING)
    store.change(task.id, State.LOST, host="rpi1", session="s-1", run="r", sent=5.0, reason="gone")
    store.spend(task.id, 70)
    assert store.task(task.id).ended == clock.now
    again = store.again(task.id, "bob")
    assert (again.state, again.attempt, again.ended, again.sent) == (State.QUEUED, 2, 0, 0)
    assert (again.host, again.session, again.run, again.reason) == ("", "", "", "")
    store.spend(task.id, 30)
    assert store.task(task.id).cost == 100
    assert not store.spend(task.id, 30)


@pytest.mark.parametrize("state", [State.DRAFT, State.DONE, *sorted(OPEN)])
def test_what_goes_on_or_is_done_is_not_tried_again(store: Store, state: State) -> None:
    task = brought_to(store, state)
    with pytest.raises(OrderError, match=state.value):
        store.again(task.id, "bob")


def test_in_progress_is_what_goes_on_and_what_may_come_back(store: Store) -> None:
    tasks = {state: brought_to(store, state) for state in State}
    back = brought_to(store, State.LOST)
    store.set(back.id, run="r")
    expected = sorted([tasks[state].id for state in OPEN] + [back.id])
    assert [task.id for task in store.in_progress()] == expected
    assert store.counts().by_state == {state: 2 if state is State.LOST else 1 for state in State}


def test_tasks_come_in_pages_the_newest_first(store: Store) -> None:
    for number in range(5):
        store.add(Draft(str(number)), "ann", plan=number % 2)
    store.change(2, State.CANCELLED)
    assert [task.id for task in store.tasks(most=2)] == [5, 4]
    assert [task.id for task in store.tasks(before=4, most=2)] == [3, 2]
    assert [task.id for task in store.tasks((State.CANCELLED, State.DONE))] == [2]
    assert [task.id for task in store.tasks(plan=1)] == [4, 2]
    with pytest.raises(KeyError):
        store.task(6)


def test_what_is_said_grows_in_place(store: Store) -> None:
    task = store.add(Draft("x"), "ann")
    said = Message(1, "user", "x", 1.0)
    store.records.say(task.id, 1, [said, Message(2, "agent", "Wo", 2.0)])
    store.records.say(task.id, 1, [Message(2, "agent", "Working", 3.0)])
    store.records.say(task.id, 2, [Message(1, "user", "again", 4.0)])
    assert store.records.messages(task.id, 1) == (said, Message(2, "agent", "Working", 3.0))
    assert store.records.messages(task.id, 3) == ()


def test_the_latest_patch_is_of_the_latest_attempt_that_has_one(store: Store) -> None:
    task = store.add(Draft("x"), "ann")
    assert store.records.patch(task.id) is None
    first, second = Patch(1, "a", "one", 1, 2), Patch(3, "a", "two")
    store.records.keep_patch(task.id, first)
    store.records.keep_patch(task.id, second)
    assert store.records.patch(task.id) == second
    assert store.records.patch(task.id, 1) == first
    assert store.records.patch(task.id, 2) is None


def test_a_file_is_kept_while_somebody_may_need_it(store: Store, clock: Clock) -> None:
    keep = store.records.keep
    used, unused, waiting = keep("u", b"used"), keep("v", b"unused"), keep("w", b"waits")
    task = store.add(Draft("x", attachments=(used,)), "ann")
    store.add(Draft("x", attachments=(waiting,)), "ann", State.DRAFT)
    store.change(task.id, State.CANCELLED)
    assert store.records.forget_files() == 0
    clock.now += UNUSED_S + 1
    assert store.records.forget_files() == 1
    assert not store.records.has(unused.sha256)
    clock.now += KEPT_S
    assert store.records.content(used.sha256) == b"used"
    assert store.records.forget_files() == 1
    with pytest.raises(KeyError):
        store.records.content(used.sha256)
    assert store.records.content(waiting.sha256) == b"waits"


def test_a_task_with_a_file_that_is_not_here_is_not_made(store: Store) -> None:
    with pytest.raises(KeyError):
        store.add(Draft("x", attachments=(Attachment("a", "0" * 64, 1),)), "ann")
    assert store.tasks() == ()


def test_a_file_that_is_too_long_is_not_kept(store: Store) -> None:
    with pytest.raises(TooLargeError, match="32 MB"):
        store.records.keep("long", bytes(FILE_LIMIT + 1))


def test_plans_and_what_people_did(store: Store, clock: Clock) -> None:
    plan = store.records.add_plan("a goal", "ann", at_once=True)
    assert plan == Plan(1, "a goal", PlanState.THINKING, "ann", clock.now, at_once=True)
    store.records.set_plan_session(plan.id, "s-9")
    assert store.records.unfinished_plans() == ((plan.id, "s-9"),)
    store.records.set_plan(plan.id, PlanState.REVIEW, cost=7)
    store.records.set_plan_session(plan.id, "")
    assert store.records.unfinished_plans() == ()
    assert store.records.plans() == (store.records.plan(1),)
    assert (store.records.plan(1).cost, store.records.plan(1).state) == (7, PlanState.REVIEW)
    store.records.audit(Audit(5.0, "ann", "100.64.0.9", "send", "task 1"))
    store.records.audit(Audit(6.0, "bob", "socket", "kill", "all"))
    assert [one.who for one in store.records.audits()] == ["bob", "ann"]
    assert store.records.audits(before=2) == (Audit(5.0, "ann", "100.64.0.9", "send", "task 1", 1),)


def test_who_is_held_is_held_until_let_go(store: Store) -> None:
    store.records.hold(("rpi1", "rpi2"), "ann")
    store.records.hold(("rpi2",), "bob")
    assert store.records.held() == {"rpi1": "ann", "rpi2": "bob"}
    store.records.let_go("rpi1")
    assert store.records.held() == {"rpi2": "bob"}


@given(st.lists(st.sampled_from(State), max_size=12))
@settings(max_examples=60, deadline=None)
def test_events_tell_the_whole_story(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[State]
) -> None:
    store = Store(tmp_path_factory.mktemp("s") / "t.sqlite")
    task = store.add(Draft("x"), "ann")
    for state in wanted:
        try:
            store.change(task.id, state)
        except OrderError:
            continue
    story = [State(event.kind) for event in store.events(task.id)]
    assert story[0] is State.QUEUED
    assert story[-1] is store.task(task.id).state
    assert all(after in FOLLOWS[before] for before, after in itertools.pairwise(story))
    store.close()


# versions


def test_a_database_of_the_first_version_comes_upward_with_its_tasks(tmp_path: Path) -> None:
    path = tmp_path / "tasks.sqlite"
    old = open_database(path, STEPS[:1])
    old.execute(
        "INSERT INTO tasks (title, prompt, wish, state, by, created)"
        " VALUES ('old', 'x', '{}', 'queued', 'ann', 5)"
    )
    with pytest.raises(sqlite3.OperationalError):
        old.execute("SELECT * FROM plans")
    old.close()
    store = Store(path)
    assert store.task(1).title == "old"
    assert store.change(1, State.RESERVED).state is State.RESERVED
    assert store.records.add_plan("g", "ann", at_once=False).id == 1
    assert store.records.held() == {}
    store.close()


def test_a_step_that_fails_leaves_the_version_before_it(tmp_path: Path) -> None:
    path = tmp_path / "tasks.sqlite"
    open_database(path, STEPS[:1]).close()
    broken = (STEPS[0], "CREATE TABLE half (x);CREATE TABLE tasks (y);")
    with pytest.raises(sqlite3.OperationalError, match="tasks"):
        open_database(path, broken)
    db = open_database(path, STEPS[:1])
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert db.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchall() == []
    db.close()


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.sqlite"
    open_database(path, (*STEPS, "CREATE TABLE newer (x);")).close()
    with pytest.raises(VersionError, match=f"version {len(STEPS) + 1}.*knows {len(STEPS)}"):
        Store(path)


def test_what_the_pages_ask_uses_an_index(store: Store) -> None:
    """However many there are: no question reads a whole table."""
    task = brought_to(store, State.RUNNING)
    asked: list[str] = []
    store._db.set_trace_callback(asked.append)
    store.tasks((State.RUNNING,))
    store.tasks(before=7)
    store.tasks(plan=1)
    store.in_progress()
    store.counts()
    store.events(task.id)
    store.records.messages(task.id, 1)
    store.records.patch(task.id)
    store._db.set_trace_callback(None)
    assert len(asked) == 8
    for question in asked:
        (*_, steps) = zip(*store._db.execute(f"EXPLAIN QUERY PLAN {question}"), strict=True)
        assert not [one for one in steps if one.startswith("SCAN") and "INDEX" not in one], question


def test_two_thousand_tasks_and_their_words_stay_fast(store: Store) -> None:
    """A bound ten times what it takes, for a question that a page asks at every look."""
    with store.whole():
        for number in range(2_000):
            store.add(Draft(f"task {number}"), "ann")
            store.records.say(
                number + 1, 1, [Message(one, "agent", "said", 1.0) for one in range(100)]
            )
    began = time.perf_counter()
    for _ in range(20):
        store.tasks()
        store.counts()
        store.records.messages(1_000, 1)
    assert (time.perf_counter() - began) / 20 < 0.2
