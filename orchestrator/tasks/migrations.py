"""The tasks' database as it is now, and how one of an earlier version gets there.

A step is never changed once it was in a release: what is new is a step more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

BUSY_S = 20.0  # a backup reads meanwhile

_TASKS = """
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    title TEXT NOT NULL,
    prompt TEXT NOT NULL,
    wish TEXT NOT NULL,         -- JSON, like attachments, code and after
    state TEXT NOT NULL,
    by TEXT NOT NULL,
    created REAL NOT NULL,
    cap INTEGER,                -- micro-dollars, like all money here
    attachments TEXT NOT NULL DEFAULT '[]',
    code TEXT,
    plan INTEGER NOT NULL DEFAULT 0,
    step TEXT NOT NULL DEFAULT '',
    after TEXT NOT NULL DEFAULT '[]',
    attempt INTEGER NOT NULL DEFAULT 1,
    host TEXT NOT NULL DEFAULT '',
    why TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    session TEXT NOT NULL DEFAULT '',
    run TEXT NOT NULL DEFAULT '',
    cancelling INTEGER NOT NULL DEFAULT 0,
    cost INTEGER NOT NULL DEFAULT 0,
    cost_before INTEGER NOT NULL DEFAULT 0, -- of earlier attempts
    retries INTEGER NOT NULL DEFAULT 0,
    floor INTEGER NOT NULL DEFAULT -1,
    warned INTEGER NOT NULL DEFAULT 0,
    changed REAL NOT NULL DEFAULT 0,
    sent REAL NOT NULL DEFAULT 0,
    ended REAL NOT NULL DEFAULT 0
);
CREATE INDEX tasks_by_state ON tasks (state, id);
CREATE INDEX tasks_by_plan ON tasks (plan, id);
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    task INTEGER NOT NULL REFERENCES tasks (id),
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    by TEXT NOT NULL DEFAULT ''
);
CREATE INDEX events_by_task ON events (task, number);
CREATE TABLE messages (
    task INTEGER NOT NULL REFERENCES tasks (id),
    attempt INTEGER NOT NULL,
    number INTEGER NOT NULL,
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (task, attempt, number)
);
CREATE TABLE patches (
    task INTEGER NOT NULL REFERENCES tasks (id),
    attempt INTEGER NOT NULL,
    base TEXT NOT NULL,
    text TEXT NOT NULL,
    commits INTEGER NOT NULL,
    files INTEGER NOT NULL,
    PRIMARY KEY (task, attempt)
);
CREATE TABLE files (
    sha256 TEXT PRIMARY KEY,
    kept REAL NOT NULL,
    size INTEGER NOT NULL,
    content BLOB NOT NULL
);
CREATE TABLE uses (
    sha256 TEXT NOT NULL REFERENCES files (sha256) ON DELETE CASCADE,
    task INTEGER NOT NULL REFERENCES tasks (id),
    PRIMARY KEY (sha256, task)
);
"""
_PLANS = """
CREATE TABLE plans (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    goal TEXT NOT NULL,
    state TEXT NOT NULL,
    by TEXT NOT NULL,
    created REAL NOT NULL,
    at_once INTEGER NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    cost INTEGER NOT NULL DEFAULT 0,
    session TEXT NOT NULL DEFAULT ''
);
CREATE INDEX plans_by_state ON plans (state);
CREATE TABLE audits (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    place TEXT NOT NULL,
    action TEXT NOT NULL,
    what TEXT NOT NULL
);
"""
_HELD = """
CREATE TABLE held (
    host TEXT PRIMARY KEY, -- gets no task until a person begins a session there
    at REAL NOT NULL,
    by TEXT NOT NULL
);
"""
STEPS: tuple[str, ...] = (_TASKS, _PLANS, _HELD)


class VersionError(sqlite3.DatabaseError):
    """The database was written by a newer version than this."""


def open_database(path: Path, steps: Sequence[str] = STEPS) -> sqlite3.Connection:
    """Open it, of this version; each step is a transaction. May raise sqlite3.Error.

    Transactions are begun by hand: what is read in one is what is written upon.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > len(steps):
            words = f"{path} is of version {version}; this program knows {len(steps)} at most"
            raise VersionError(f"{words}: go on with the newer one, or restore a backup")
        for number, step in enumerate(steps[version:], version + 1):
            try:
                db.executescript(f"BEGIN IMMEDIATE;{step}PRAGMA user_version = {number};COMMIT;")
            except sqlite3.Error:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
    except BaseException:
        db.close()
        raise
    path.chmod(0o600)
    return db
