"""The notes: which worker is blocked, who said so, when and why. SQLite, safe against power cuts.

Beside them stands what the scheduler was told, so that it can be told the contrary whenever it
answers again: also after a restart, and when the worker has another address by then.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

VERSION = 1
KEPT = 20  # reports about one worker: the first, which blocked it, and the latest
_SCHEMA = """
CREATE TABLE reports (
    id INTEGER PRIMARY KEY,
    worker TEXT NOT NULL,
    reporter TEXT NOT NULL,     -- the host that says so
    compiler TEXT NOT NULL,
    source TEXT NOT NULL,
    detail TEXT NOT NULL,
    at REAL NOT NULL
);
CREATE INDEX reports_by_worker ON reports (worker);
CREATE TABLE counts (worker TEXT PRIMARY KEY, reports INTEGER NOT NULL);
CREATE TABLE told (word TEXT PRIMARY KEY);
"""


@dataclass(frozen=True)
class Report:
    """One host's word about a worker. `at` is Unix time, 0 before it is noted."""

    worker: str
    reporter: str
    compiler: str = ""
    source: str = ""
    detail: str = ""
    at: float = 0


@dataclass(frozen=True)
class Block:
    """A blocked worker: the reports that are kept, the first one first, and how many there were."""

    worker: str
    reports: tuple[Report, ...]
    count: int


class Notes:
    """The open notes. Not for several threads. All methods may raise sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {VERSION};COMMIT;")
        elif version != VERSION:
            raise sqlite3.DatabaseError(f"the notes are of version {version}, not {VERSION}")

    def close(self) -> None:
        """Write everything back."""
        self._db.close()

    def add(self, report: Report) -> None:
        """Note a report; from now on its worker is blocked."""
        worker = report.worker
        with self._transaction():
            self._db.execute(
                "INSERT INTO reports (worker, reporter, compiler, source, detail, at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    *(worker, report.reporter, report.compiler, report.source, report.detail),
                    time.time(),
                ),
            )
            self._db.execute(
                "INSERT INTO counts VALUES (?, 1)"
                " ON CONFLICT (worker) DO UPDATE SET reports = reports + 1",
                (worker,),
            )
            self._db.execute(
                "DELETE FROM reports WHERE worker = ?1"
                " AND id != (SELECT min(id) FROM reports WHERE worker = ?1)"
                " AND id NOT IN"
                " (SELECT id FROM reports WHERE worker = ?1 ORDER BY id DESC LIMIT ?2)",
                (worker, KEPT - 1),
            )

    def remove(self, worker: str) -> bool:
        """Forget what was said of a worker; whether there was anything."""
        with self._transaction():
            self._db.execute("DELETE FROM counts WHERE worker = ?", (worker,))
            return self._db.execute("DELETE FROM reports WHERE worker = ?", (worker,)).rowcount > 0

    def blocks(self) -> tuple[Block, ...]:
        """Every blocked worker, by name."""
        rows = self._db.execute(
            "SELECT worker, reporter, compiler, source, detail, at FROM reports ORDER BY id"
        ).fetchall()
        counts = self._db.execute("SELECT worker, reports FROM counts ORDER BY worker").fetchall()
        return tuple(
            Block(worker, tuple(Report(*row) for row in rows if row[0] == worker), count)
            for worker, count in counts
        )

    def workers(self) -> tuple[str, ...]:
        """The names of the blocked workers."""
        return tuple(row[0] for row in self._db.execute("SELECT worker FROM counts").fetchall())

    # what the scheduler was told

    def told(self) -> frozenset[str]:
        """The words by which it was told to block somebody, and not yet to let them in again."""
        return frozenset(row[0] for row in self._db.execute("SELECT word FROM told").fetchall())

    def tell(self, words: Iterable[str]) -> None:
        """These will be told to it: noted before, so that none is forgotten whenever we end."""
        self._db.executemany("INSERT OR IGNORE INTO told VALUES (?)", [(word,) for word in words])

    def untold(self, words: Iterable[str]) -> None:
        """These do not block anybody there any more."""
        self._db.executemany("DELETE FROM told WHERE word = ?", [(word,) for word in words])

    def _transaction(self) -> sqlite3.Connection:
        """Committed at the end of `with`, undone by an exception (the connection does both)."""
        self._db.execute("BEGIN IMMEDIATE")
        return self._db
