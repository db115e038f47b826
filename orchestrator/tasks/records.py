"""All that is kept besides tasks: what was said, patches, files, plans, what people did."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from orchestrator.tasks.model import (
    OPEN,
    Attachment,
    Audit,
    Message,
    Patch,
    Plan,
    PlanState,
    State,
)

FILE_LIMIT = 32 << 20  # bytes
KEPT_S = 30 * 86_400.0  # how long files stay after the last task that uses them has ended
UNUSED_S = 86_400.0  # and those that no task was sent with
_PLANS = "SELECT id, goal, state, by, created, at_once, reason, cost FROM plans"


class TooLargeError(Exception):
    """A file is longer than FILE_LIMIT."""


@dataclass(frozen=True)
class Records:
    """A part of the Store: see there. `whole` begins a transaction."""

    db: sqlite3.Connection
    whole: Callable[[], AbstractContextManager[None]]
    clock: Callable[[], float]

    # what was said

    def say(self, task: int, attempt: int, messages: Iterable[Message]) -> None:
        """Keep what was said; what has grown takes the place of what it was."""
        with self.whole():
            self.db.executemany(
                "INSERT INTO messages (task, attempt, number, role, content, at)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (task, attempt, number)"
                " DO UPDATE SET role = excluded.role, content = excluded.content, at = excluded.at",
                [(task, attempt, one.number, one.role, one.content, one.at) for one in messages],
            )

    def messages(self, task: int, attempt: int) -> tuple[Message, ...]:
        """What was said in an attempt."""
        rows = self.db.execute(
            "SELECT number, role, content, at FROM messages WHERE task = ? AND attempt = ?"
            " ORDER BY number",
            (task, attempt),
        )
        return tuple(Message(*row) for row in rows)

    # what was changed

    def keep_patch(self, task: int, patch: Patch) -> None:
        """Keep what an attempt changed in its code."""
        self.db.execute(
            "INSERT OR REPLACE INTO patches (task, attempt, base, text, commits, files)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (task, patch.attempt, patch.base, patch.text, patch.commits, patch.files),
        )

    def patch(self, task: int, attempt: int = 0) -> Patch | None:
        """What an attempt changed; 0: the latest that has something."""
        row = self.db.execute(
            "SELECT attempt, base, text, commits, files FROM patches"
            " WHERE task = ? AND attempt IN (?, CASE WHEN ? = 0 THEN attempt END)"
            " ORDER BY attempt DESC LIMIT 1",
            (task, attempt, attempt),
        ).fetchone()
        return Patch(*row) if row else None

    # files

    def keep(self, name: str, content: bytes) -> Attachment:
        """Keep a file. Raises TooLargeError."""
        if len(content) > FILE_LIMIT:
            raise TooLargeError(f"{name}: a file may have {FILE_LIMIT >> 20} MB")
        digest = hashlib.sha256(content).hexdigest()
        self.db.execute(
            "INSERT INTO files (sha256, kept, size, content) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (sha256) DO UPDATE SET kept = excluded.kept",
            (digest, self.clock(), len(content), content),
        )
        return Attachment(name, digest, len(content))

    def use(self, task: int, digests: Iterable[str]) -> None:
        """A task needs these files. KeyError: one is not here."""
        for digest in digests:
            try:
                self.db.execute("INSERT OR IGNORE INTO uses VALUES (?, ?)", (digest, task))
            except sqlite3.IntegrityError:
                raise KeyError(digest) from None

    def has(self, digest: str) -> bool:
        """Whether the file is here."""
        found = self.db.execute("SELECT 1 FROM files WHERE sha256 = ?", (digest,))
        return found.fetchone() is not None

    def content(self, digest: str) -> bytes:
        """A file. KeyError: it is not here, or not any more."""
        row = self.db.execute("SELECT content FROM files WHERE sha256 = ?", (digest,)).fetchone()
        if row is None:
            raise KeyError(digest)
        return bytes(row[0])

    def forget_files(self) -> int:
        """Remove files that only tasks use which ended long ago, or none; how many those were."""
        waiting = sorted({*OPEN, State.DRAFT})
        marks, now = ", ".join("?" * len(waiting)), self.clock()
        done = self.db.execute(
            "DELETE FROM files WHERE kept < ? AND NOT EXISTS (SELECT 1 FROM uses"  # noqa: S608 - marks
            " JOIN tasks ON tasks.id = uses.task WHERE uses.sha256 = files.sha256"
            f" AND (tasks.state IN ({marks}) OR tasks.ended >= ?))",
            (now - UNUSED_S, *waiting, now - KEPT_S),
        )
        return done.rowcount

    # plans

    def add_plan(self, goal: str, by: str, *, at_once: bool) -> Plan:
        """A plan that is being made."""
        done = self.db.execute(
            "INSERT INTO plans (goal, state, by, created, at_once) VALUES (?, ?, ?, ?, ?)",
            (goal, PlanState.THINKING, by, self.clock(), at_once),
        )
        return self.plan(int(done.lastrowid or 0))

    def plan(self, number: int) -> Plan:
        """One plan. KeyError: there is none."""
        row = self.db.execute(f"{_PLANS} WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise KeyError(number)
        return _plan_of(row)

    def plans(self, *, before: int = 0, most: int = 50) -> tuple[Plan, ...]:
        """Plans, the newest first."""
        rows = self.db.execute(
            f"{_PLANS} WHERE ? = 0 OR id < ? ORDER BY id DESC LIMIT ?",
            (before, before, most),
        )
        return tuple(map(_plan_of, rows))

    def set_plan(self, number: int, state: PlanState, reason: str = "", cost: int = 0) -> Plan:
        """A plan has come to another state; `cost` is added."""
        self.db.execute(
            "UPDATE plans SET state = ?, reason = ?, cost = cost + ? WHERE id = ?",
            (state, reason, cost, number),
        )
        return self.plan(number)

    def set_plan_session(self, number: int, session: str) -> None:
        """Which of the gateway's sessions pays for its making; empty: none any more."""
        self.db.execute("UPDATE plans SET session = ? WHERE id = ?", (session, number))

    def unfinished_plans(self) -> tuple[tuple[int, str], ...]:
        """Plans that are being made, each with its session; also those whose session goes on."""
        rows = self.db.execute(
            "SELECT id, session FROM plans WHERE state = ? OR session != ''", (PlanState.THINKING,)
        )
        return tuple((int(number), str(session)) for number, session in rows)

    # people

    def audit(self, entry: Audit) -> None:
        """Keep who did what."""
        self.db.execute(
            "INSERT INTO audits (at, who, place, action, what) VALUES (?, ?, ?, ?, ?)",
            (entry.at, entry.who, entry.where, entry.action, entry.what),
        )

    def audits(self, *, before: int = 0, most: int = 100) -> tuple[Audit, ...]:
        """What people did, the newest first."""
        rows = self.db.execute(
            "SELECT at, who, place, action, what, number FROM audits"
            " WHERE ? = 0 OR number < ? ORDER BY number DESC LIMIT ?",
            (before, before, most),
        )
        return tuple(Audit(*row) for row in rows)

    def hold(self, hosts: Iterable[str], by: str) -> None:
        """These hosts get no task until a person begins a session there."""
        with self.whole():
            self.db.executemany(
                "INSERT OR REPLACE INTO held (host, at, by) VALUES (?, ?, ?)",
                [(host, self.clock(), by) for host in hosts],
            )

    def let_go(self, host: str) -> None:
        """The host may have tasks again."""
        self.db.execute("DELETE FROM held WHERE host = ?", (host,))

    def held(self) -> dict[str, str]:
        """Hosts that get no task → who held them."""
        return dict(self.db.execute("SELECT host, by FROM held").fetchall())


def _plan_of(row: tuple[Any, ...]) -> Plan:
    number, goal, state, by, created, at_once, reason, cost = row
    return Plan(number, goal, PlanState(state), by, created, bool(at_once), reason, cost)
