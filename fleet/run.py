"""Which run this is: whose, from where, of which commit, and what for.

A command that starts several pyinfra processes for one run hands it on in the environment.
"""

from __future__ import annotations

import atexit
import fcntl
import getpass
import hashlib
import json
import os
import platform
import secrets
import subprocess
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from fleet.target import fleet_file
from fleet.workstation import runs_dir

RUN = "FLEET_RUN"  # environment: the run that a process is a part of, as JSON
GIT_S = 10.0
FORGET_S = 86400.0  # after which nobody asks for a dead run any more
WORDS_MOST = 200  # characters of a lock's words


@dataclass(frozen=True)
class Run:
    """One run. `began` is UTC in ISO 8601; `dirty` a digest of what is not committed, or empty."""

    id: str
    who: str
    place: str  # the workstation's name
    began: str
    reason: str
    commit: str = ""
    dirty: str = ""

    @property
    def words(self) -> str:
        """The run in one line, as others read it who find its lock."""
        said = f"{self.id} {self.who}@{self.place} since {self.began}: {self.reason}"
        return "".join(c if c.isprintable() else "?" for c in said)[:WORDS_MOST].rstrip()

    @property
    def noted(self) -> dict[str, str]:
        """What a history says of it."""
        return {
            "run": self.id,
            "who": f"{self.who}@{self.place}",
            "began": self.began,
            "reason": self.reason,
            "commit": self.commit,
            "dirty": self.dirty,
        }


def this_run(reason: str = "pyinfra") -> Run:
    """The run that this process is a part of; a new one when nobody has begun it."""
    with _beginning:  # hosts are prepared side by side, and it takes a moment to ask git
        return _this_run(reason)


_beginning = threading.Lock()


@cache
def _this_run(reason: str) -> Run:
    if said := os.environ.get(RUN):
        return Run(**json.loads(said))
    now = datetime.now(UTC)
    commit, dirty = _commit(fleet_file().parent)
    run = Run(
        id=f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
        who=_who(),
        place=platform.node() or "somewhere",
        began=f"{now:%Y-%m-%dT%H:%M:%SZ}",
        reason=reason,
        commit=commit,
        dirty=dirty,
    )
    _live(run)
    return run


def _live(run: Run) -> None:
    """Keep a file locked for as long as this process lives: who can lock it knows it is dead."""
    try:
        path = runs_dir() / run.id
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, run.words.encode())
    except OSError:  # then its locks are let go of by time alone
        return
    atexit.register(path.unlink, missing_ok=True)


@cache
def dead_runs() -> tuple[str, ...]:
    """The words of this user's runs on this machine that have died without a word."""
    try:
        return tuple(words for path in sorted(runs_dir().iterdir()) if (words := _dead(path)))
    except OSError:
        return ()


def _dead(path: Path) -> str:
    """What a dead run was called; empty for one that lives, and for one of long ago."""
    with path.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return ""
        if time.time() - path.stat().st_mtime > FORGET_S:
            path.unlink(missing_ok=True)
            return ""
        return stream.read().decode(errors="replace")


def handed_on(run: Run) -> dict[str, str]:
    """The environment of a process that is a part of the run."""
    return {RUN: json.dumps(asdict(run))}


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def _commit(folder: Path) -> tuple[str, str]:
    """The commit that fleet.yaml is of, and what differs from it; empty where git knows of none."""
    commit = _git(folder, "rev-parse", "HEAD").decode().strip()
    if not commit:
        return "", ""
    changes = _git(folder, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--binary")
    changes += _git(folder, "ls-files", "--others", "--exclude-standard", "--full-name", ":/")
    return commit, hashlib.sha256(changes).hexdigest()[:12] if changes else ""


def committed(path: Path) -> bool:
    """Whether git has the file just as it is."""
    known = _git(path.parent, "ls-files", "--", path.name)
    return bool(known) and not _git(path.parent, "status", "--porcelain", "--", path.name)


def _git(folder: Path, *words: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""
