"""The ledger: sessions, and every call with what it cost. SQLite, safe against power cuts.

A call is written before it is forwarded. One that never came to its end, because the gateway or the
machine did not live that long, is charged what was reserved for it: nothing goes uncounted.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.gateway.caps import Purse, Purses, Spent, refusal
from orchestrator.gateway.config import Caps
from orchestrator.gateway.prices import Usage

PREFIX = "agentfleet-"
VERSION = 2
ISSUED, LIVE, REVOKED = "issued", "live", "revoked"
AGENT, PLAN = "agent", "plan"  # what a session is for: a host's agent has one at a time
PURPOSES = (AGENT, PLAN)
_SCHEMA = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    token TEXT NOT NULL UNIQUE, -- its SHA-256
    cap INTEGER NOT NULL,       -- micro-dollars, as everything here
    state TEXT NOT NULL,
    issued REAL NOT NULL,
    ended REAL,
    warned INTEGER NOT NULL DEFAULT 0,
    purpose TEXT NOT NULL DEFAULT 'agent'
);
CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions (id),
    host TEXT NOT NULL,
    day TEXT NOT NULL,          -- of this machine's clock, YYYY-MM-DD
    model TEXT NOT NULL,
    started REAL NOT NULL,
    ended REAL,                 -- NULL: under way
    reserved INTEGER NOT NULL,
    cost INTEGER NOT NULL DEFAULT 0,
    input INTEGER NOT NULL DEFAULT 0,
    output INTEGER NOT NULL DEFAULT 0,
    note TEXT NOT NULL DEFAULT ''
);
CREATE INDEX calls_by_session ON calls (session);
CREATE INDEX calls_by_day ON calls (day, host);
"""
# From the version that is the key to the next one.
_MIGRATIONS = {1: "ALTER TABLE sessions ADD COLUMN purpose TEXT NOT NULL DEFAULT 'agent';"}
_SPENT = (
    "SELECT coalesce(sum(cost), 0), coalesce(sum(CASE WHEN ended IS NULL THEN reserved END), 0) "
    "FROM calls WHERE "
)


@dataclass(frozen=True)
class Session:
    """What a token stands for."""

    id: str
    host: str
    cap: int


@dataclass(frozen=True)
class Issued:
    """A new session, with the token that nobody can read from the ledger afterwards."""

    session: Session
    token: str


class RefusedError(Exception):
    """A call is over a cap; the text says which, in words for the agent."""


class Ledger:
    """The open ledger. Not for several threads at once. All methods may raise sqlite3.Error."""

    def __init__(
        self, path: Path, today: Callable[[], str] = lambda: time.strftime("%Y-%m-%d")
    ) -> None:
        self._today = today
        # Transactions are begun by hand: what is read in one is what is written upon.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._prepare()
        self.orphans = self._close_orphans()

    def close(self) -> None:
        """Write everything back."""
        self._db.close()

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {VERSION};COMMIT;")
            return
        while version in _MIGRATIONS:
            step = f"BEGIN;{_MIGRATIONS[version]}PRAGMA user_version = {version + 1};COMMIT;"
            self._db.executescript(step)
            version += 1
        if version != VERSION:
            raise sqlite3.DatabaseError(f"the ledger is of version {version}, not {VERSION}")

    def _close_orphans(self) -> int:
        """Charge what was under way when an earlier gateway ended; how many calls that were."""
        done = self._db.execute(
            "UPDATE calls SET cost = reserved, ended = ?, note = ? WHERE ended IS NULL",
            (time.time(), "the gateway ended before its answer did"),
        )
        return done.rowcount

    # sessions

    def issue(self, host: str, cap: int, purpose: str = AGENT) -> Issued:
        """A new session; the host's others go on until it begins."""
        token = PREFIX + secrets.token_urlsafe(32)
        session = Session(f"s-{secrets.token_hex(6)}", host, cap)
        self._db.execute(
            "INSERT INTO sessions (id, host, token, cap, state, issued, purpose)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (session.id, host, _digest(token), cap, ISSUED, time.time(), purpose),
        )
        return Issued(session, token)

    def begin(self, session_id: str) -> tuple[Session, ...]:
        """The session counts: those that end by it. LookupError: there is none.

        An agent works in one session, so its host's others end; what is for a plan ends none, and
        goes on beside an agent's.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            row = self._db.execute(
                "SELECT host, purpose FROM sessions WHERE id = ? AND state != ?",
                (session_id, REVOKED),
            ).fetchone()
            if row is None:
                raise LookupError(session_id)
            self._db.execute("UPDATE sessions SET state = ? WHERE id = ?", (LIVE, session_id))
            others = "host = ? AND id != ? AND purpose = ?"
            ended = self._revoke(others, (row[0], session_id, AGENT)) if row[1] == AGENT else ()
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return ended

    def revoke(self, session_id: str) -> tuple[Session, ...]:
        """The session ends; empty when it had ended before."""
        return self._revoke("id = ?", (session_id,))

    def revoke_host(self, host: str) -> tuple[Session, ...]:
        """All sessions of a host end, whatever they are for: those."""
        return self._revoke("host = ?", (host,))

    def _revoke(self, which: str, values: tuple[str, ...]) -> tuple[Session, ...]:
        rows = self._db.execute(
            f"UPDATE sessions SET state = ?, ended = ? WHERE state != ? AND {which}"  # noqa: S608 - ours
            " RETURNING id, host, cap",
            (REVOKED, time.time(), REVOKED, *values),
        ).fetchall()
        return tuple(Session(*row) for row in rows)

    def session_of(self, token: str) -> Session | None:
        """The session that a token is for, unless it was revoked."""
        row = self._db.execute(
            "SELECT id, host, cap FROM sessions WHERE token = ? AND state != ?",
            (_digest(token), REVOKED),
        ).fetchone()
        return Session(*row) if row else None

    def current(self, host: str) -> Session | None:
        """The session of the host's agent that counts, or the newest that shall."""
        row = self._db.execute(
            "SELECT id, host, cap FROM sessions WHERE host = ? AND state != ? AND purpose = ?"
            " ORDER BY state = ? DESC, issued DESC LIMIT 1",
            (host, REVOKED, AGENT, LIVE),
        ).fetchone()
        return Session(*row) if row else None

    # money

    def purses(self, session: Session, caps: Caps, fleet_daily: int | None) -> Purses:
        """What is spent of the session's cap, the host's for today, the fleet's for today."""
        today = self._today()
        return (
            Purse("this session", self._spent("session = ?", session.id), session.cap),
            self.day_of(session.host, caps),
            Purse("the fleet's day", self._spent("day = ?", today), fleet_daily),
        )

    def day_of(self, host: str, caps: Caps) -> Purse:
        """What is spent of the host's cap for today."""
        spent = self._spent("day = ? AND host = ?", self._today(), host)
        return Purse("this host's day", spent, caps.daily)

    def fleet_day(self, cap: int | None) -> Purse:
        """What is spent of the fleet's cap for today."""
        return Purse("the fleet's day", self._spent("day = ?", self._today()), cap)

    def spent_by(self, session: Session) -> Purse:
        """What is spent of the session's cap."""
        return Purse("this session", self._spent("session = ?", session.id), session.cap)

    def _spent(self, which: str, *values: str) -> Spent:
        return Spent(*self._db.execute(_SPENT + which, values).fetchone())

    def reserve(
        self, session: Session, model: str, estimate: int, caps: Caps, fleet_daily: int | None
    ) -> int:
        """Hold back what a call may cost and return its number. Raises RefusedError over a cap."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            if self._is_revoked(session):  # since its token was read
                raise RefusedError("budget: this session was revoked")
            if reason := refusal(self.purses(session, caps, fleet_daily), estimate, session.host):
                raise RefusedError(reason)
            done = self._db.execute(
                "INSERT INTO calls (session, host, day, model, started, reserved)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (session.id, session.host, self._today(), model, time.time(), estimate),
            )
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return int(done.lastrowid or 0)

    def _is_revoked(self, session: Session) -> bool:
        which = "SELECT 1 FROM sessions WHERE id = ? AND state = ?"
        return self._db.execute(which, (session.id, REVOKED)).fetchone() is not None

    def settle(self, call: int, cost: int, usage: Usage, note: str = "") -> None:
        """Put what the call did cost in the place of what was reserved."""
        self._db.execute(
            "UPDATE calls SET cost = ?, ended = ?, input = ?, output = ?, note = ? WHERE id = ?",
            (cost, time.time(), usage.prompt, usage.output, note, call),
        )

    def warn_once(self, session: Session) -> bool:
        """Whether the session has not been warned yet; from now on it has."""
        done = self._db.execute(
            "UPDATE sessions SET warned = 1 WHERE id = ? AND warned = 0", (session.id,)
        )
        return done.rowcount == 1

    def days(self, count: int) -> list[dict[str, Any]]:
        """The last days on which something was spent, the latest first: by day and host."""
        rows = self._db.execute(
            "SELECT day, host, sum(cost), count(*) FROM calls GROUP BY day, host"
            " ORDER BY day DESC, host"
        ).fetchall()
        found: dict[str, list[dict[str, Any]]] = {}
        for day, host, cost, calls in rows:
            found.setdefault(day, []).append({"host": host, "spent": cost, "calls": calls})
        return [
            {"day": day, "spent": sum(one["spent"] for one in hosts), "hosts": hosts}
            for day, hosts in list(found.items())[:count]
        ]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
