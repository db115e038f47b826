"""The tasks on disk. SQLite, safe against power cuts: what was answered is written.

Every change of a task's state is one transaction, with the event that tells of it, and nothing
that FOLLOWS does not have.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.tasks.migrations import open_database
from orchestrator.tasks.model import FOLLOWS, OPEN, Counts, Draft, Event, State, Task
from orchestrator.tasks.records import Records
from orchestrator.tasks.rows import TASKS, column, set_row, task_of, title_of


class OrderError(Exception):
    """A task is not in a state that this could follow; the text names it."""


class Store:
    """The open store. Not for several threads at once. All methods may raise sqlite3.Error.

    A task that is not there is a KeyError. `records` is everything that is no task's state.
    """

    def __init__(
        self, path: Path, clock: Callable[[], float] = time.time, *, read_only: bool = False
    ) -> None:
        self._clock = clock
        self._db = open_database(path)
        self._db.execute(f"PRAGMA query_only = {read_only:d}")
        self.records = Records(self._db, self.whole, clock)

    def close(self) -> None:
        """Write everything back."""
        self._db.close()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """All of it or nothing; within another one it is part of that."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # reading

    def task(self, number: int) -> Task:
        """One task."""
        row = self._db.execute(f"{TASKS} WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise KeyError(number)
        return task_of(row)

    def tasks(
        self, states: Iterable[State] = (), *, before: int = 0, most: int = 50, plan: int = 0
    ) -> tuple[Task, ...]:
        """Tasks, the newest first: see Desk.tasks."""
        wanted, values = [], list[Any]()
        if states := tuple(states):
            wanted.append(f"state IN ({', '.join('?' * len(states))})")
            values += states
        for clause, value in (("id < ?", before), ("plan = ?", plan)):
            if value:
                wanted.append(clause)
                values.append(value)
        where = f" WHERE {' AND '.join(wanted)}" if wanted else ""
        rows = self._db.execute(f"{TASKS}{where} ORDER BY id DESC LIMIT ?", (*values, most))
        return tuple(map(task_of, rows))

    def in_progress(self) -> tuple[Task, ...]:
        """What goes on by itself, and what is lost but may come back; the oldest first."""
        states = ", ".join("?" * len(OPEN))
        rows = self._db.execute(
            f"{TASKS} WHERE state IN ({states}) OR (state = ? AND run != '') ORDER BY id",
            (*sorted(OPEN), State.LOST),
        )
        return tuple(map(task_of, rows))

    def states(self, numbers: Sequence[int]) -> dict[int, State]:
        """The states of these tasks."""
        marks = ", ".join("?" * len(numbers))
        rows = self._db.execute(
            f"SELECT id, state FROM tasks WHERE id IN ({marks})",  # noqa: S608 - question marks
            tuple(numbers),
        )
        return {number: State(state) for number, state in rows}

    def counts(self) -> Counts:
        """How many tasks there are."""
        rows = self._db.execute("SELECT state, count(*) FROM tasks GROUP BY state")
        return Counts({State(state): count for state, count in rows})

    def events(self, number: int) -> tuple[Event, ...]:
        """What happened to a task, the oldest first."""
        rows = self._db.execute(
            "SELECT at, kind, text, by, number FROM events WHERE task = ? ORDER BY number",
            (number,),
        )
        return tuple(Event(*row) for row in rows)

    # writing

    def add(
        self,
        draft: Draft,
        by: str,
        state: State = State.QUEUED,
        *,
        plan: int = 0,
        step: str = "",
        after: tuple[int, ...] = (),
    ) -> Task:
        """A new task. KeyError: a file of it is not here."""
        now = self._clock()
        values = {
            "title": title_of(draft),
            "prompt": draft.prompt,
            "wish": draft.wish,
            "state": state,
            "by": by,
            "created": now,
            "changed": now,
            "cap": draft.cap,
            "attachments": draft.attachments,
            "code": draft.code,
            "retries": draft.retries,
            "plan": plan,
            "step": step,
            "after": after,
        }
        marks = ", ".join("?" * len(values))
        with self.whole():
            done = self._db.execute(
                f"INSERT INTO tasks ({', '.join(values)}) VALUES ({marks})",  # noqa: S608 - ours
                tuple(map(column, values.values())),
            )
            number = int(done.lastrowid or 0)
            files = [one.sha256 for one in draft.attachments]
            self.records.use(number, [*files, *([draft.code.bundle] if draft.code else [])])
            self._note(number, state.value, "", by)
        return self.task(number)

    def change(
        self, number: int, to: State, text: str = "", by: str = "", **values: object
    ) -> Task:
        """Bring a task into another state, with these fields. Raises OrderError."""
        with self.whole():
            task = self.task(number)
            if to not in FOLLOWS[task.state]:
                raise OrderError(f"task {number} is {task.state.value}, and cannot be {to.value}")
            now = self._clock()
            ended = 0.0 if to in OPEN else now
            set_row(self._db, number, {"state": to, "changed": now, "ended": ended} | values)
            self._note(number, to.value, text, by)
            return self.task(number)

    def note(self, number: int, kind: str, text: str, by: str = "", **values: object) -> Task:
        """Write down what happened to a task whose state stays, with these fields."""
        with self.whole():
            set_row(self._db, number, values)
            self._note(number, kind, text, by)
            return self.task(number)

    def cancelling(self, number: int, words: str, by: str) -> Task:
        """Note that an attempt has the order to end, unless it has ended meanwhile."""
        with self.whole():
            if self.task(number).state in {State.RESERVED, State.RUNNING}:
                self.note(number, "note", words, by, cancelling=True, reason=words)
            return self.task(number)

    def explain(self, reasons: Mapping[int, str]) -> None:
        """Why these tasks wait."""
        with self.whole():
            for number, reason in reasons.items():
                self.set(number, reason=reason)

    def set(self, number: int, **values: object) -> None:
        """Change fields that nobody needs an event of."""
        set_row(self._db, number, values)

    def spend(self, number: int, of_session: int) -> bool:
        """What this attempt has cost by now; whether that is new."""
        done = self._db.execute(
            "UPDATE tasks SET cost = cost_before + ? WHERE id = ? AND cost != cost_before + ?",
            (of_session, number, of_session),
        )
        return done.rowcount == 1

    def again(self, number: int, by: str) -> Task:
        """Another attempt, as if nothing had been. Raises OrderError."""
        with self.whole():
            task = self.task(number)
            if task.state not in {State.FAILED, State.CANCELLED, State.LOST}:
                raise OrderError(f"task {number} is {task.state.value}: it cannot be tried again")
            return self.change(
                number,
                State.QUEUED,
                f"attempt {task.attempt + 1}",
                by,
                attempt=task.attempt + 1,
                cost_before=task.cost,
                **NOT_TOLD,
            )

    def _note(self, number: int, kind: str, text: str, by: str) -> None:
        self._db.execute(
            "INSERT INTO events (task, at, kind, text, by) VALUES (?, ?, ?, ?, ?)",
            (number, self._clock(), kind, text, by),
        )


# What a task has when nobody was told of it, and nobody has it.
NOT_TOLD: dict[str, object] = {
    "host": "",
    "why": "",
    "reason": "",
    "session": "",
    "run": "",
    "cancelling": False,
    "sent": 0.0,
    "floor": -1,
}
