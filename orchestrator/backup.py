"""Backups of what only the orchestrator knows: its tasks, what was spent, who was reported.

One file, encrypted to the operators' SSH keys: neither the orchestrator nor the host that keeps it
can read it. What a restore gets is read here again, in its own words, before anything is replaced.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pwd
import sqlite3
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.configuration import load
from orchestrator.sessions import Agents
from orchestrator.tasks.restored import doubt

FORMAT = 1
MANIFEST = "manifest.json"
SUFFIX = ".tar.gz.age"
BLANK = "`fleet restore` brings the newest one back; the next one is made when there is a task"
SEND_S = 1800.0  # over a slow link
MOST = 2 << 30  # bytes of a backup, unpacked


class BackupError(Exception):
    """There is no backup, or none that could be restored; the text says why."""


@dataclass(frozen=True)
class Database:
    """A file, and whose it is: user and systemd unit."""

    path: Path
    owner: str
    unit: str


@dataclass(frozen=True)
class Config:
    """See deploys/backup.py, which renders it. `host` keeps the backups."""

    fleet: str
    databases: Mapping[str, Database]
    recipients: Path
    host: str
    reached: Path

    @property
    def tasks(self) -> Database:
        """The one that must not lose anything."""
        return self.databases["tasks"]


def read_config(path: Path) -> Config:
    """Read the file. Raises ConfigError."""
    return load(path, _config)


def _config(said: Mapping[str, Any]) -> Config:
    return Config(
        fleet=said["fleet"],
        databases={
            name: Database(Path(one["path"]), one["owner"], one["unit"])
            for name, one in said["databases"].items()
        },
        recipients=Path(said["recipients"]),
        host=said["host"],
        reached=Path(said["reached"]),
    )


# making


def back_up(config: Config, now: float | None = None) -> str:
    """Make a backup and bring it to the host that keeps it; its name there.

    Raises BackupError, AgentError.
    """
    made = time.time() if now is None else now
    name = f"orchestrator-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(made))}{SUFFIX}"
    content = encrypted(packed(config, made), config.recipients)
    agents = Agents.read(config.reached)
    # One that is blank because its disk was lost: the newest backup has to stay the one to restore.
    if not newer(config, 0) and agents.control(config.host, "backups").strip():
        raise BackupError(f"here is no task, and {config.host} keeps backups: {BLANK}")
    agents.exchange(config.host, f"keep-backup {name} {len(content)}", content, SEND_S)
    return name


def packed(config: Config, made: float) -> bytes:
    """All databases that there are, each as it was at one moment, and what is in there."""
    parts: dict[str, bytes] = {}
    for name, database in config.databases.items():
        if database.path.exists():
            parts[name] = _copy(database.path)
    if not parts:
        raise BackupError("there is nothing to back up yet")
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()}
    manifest = {"format": FORMAT, "fleet": config.fleet, "made": made, "sha256": digests}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        _add(archive, MANIFEST, json.dumps(manifest, indent=2).encode())
        for name, content in parts.items():
            _add(archive, name, content)
    return buffer.getvalue()


def _copy(path: Path) -> bytes:
    """SQLite's own way to copy what others write to."""
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "copy"
        try:
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as error:
            raise BackupError(f"{path}: {error}") from None
        return target.read_bytes()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def encrypted(content: bytes, recipients: Path) -> bytes:
    """For those whose public keys are in the file. Raises BackupError."""
    try:
        run = subprocess.run(
            ["age", "--encrypt", "-R", str(recipients)],
            input=content,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise BackupError("there is no `age` to encrypt with") from None
    if run.returncode or not run.stdout:
        raise BackupError(f"age: {run.stderr.decode(errors='replace').strip()}")
    return run.stdout


# restoring


@dataclass(frozen=True)
class Unpacked:
    """A backup whose digests are right."""

    fleet: str
    made: float
    databases: Mapping[str, bytes]


def unpacked(content: bytes) -> Unpacked:
    """Read a decrypted backup. Raises BackupError."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            entries = archive.getmembers()
            if sum(entry.size for entry in entries) > MOST:
                raise BackupError("this is too large for a backup")
            files = {one.name: _read(archive, one) for one in entries if one.isfile()}
        manifest = json.loads(files.pop(MANIFEST))
        if manifest["format"] != FORMAT:
            raise BackupError(f"this backup is of format {manifest['format']}, not {FORMAT}")
        found = Unpacked(str(manifest["fleet"]), float(manifest["made"]), files)
        digests = dict(manifest["sha256"])
    except (tarfile.TarError, OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"this is no backup: {error}") from None
    if digests != {name: hashlib.sha256(one).hexdigest() for name, one in files.items()}:
        raise BackupError("this backup is damaged: its digests differ")
    return found


def _read(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(entry)
    return stream.read() if stream else b""


def newer(config: Config, made: float) -> int:
    """How many tasks there are now that changed after that moment. Raises BackupError."""
    path = config.tasks.path
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path)) as now:
            found = now.execute("SELECT count(*) FROM tasks WHERE changed > ?", (made,)).fetchone()
    except sqlite3.OperationalError:  # no such table: the service has not come to make it
        return 0
    except sqlite3.Error as error:
        raise BackupError(f"{path}: {error}") from None
    return int(found[0])


Control = Callable[[str, str], None]  # stop or start, and a unit


def restore(
    config: Config, content: bytes, control: Control, *, force: bool = False
) -> dict[str, Any]:
    """Put the databases of a backup in place, their services stopped meanwhile.

    What was there stays beside as `NAME.before-restore`. Raises BackupError, and then everything
    is as it was.
    """
    backup = unpacked(content)
    if backup.fleet != config.fleet:
        raise BackupError(f"this is a backup of the fleet {backup.fleet}, not {config.fleet}")
    wanted = {name: config.databases[name] for name in backup.databases if name in config.databases}
    if len(wanted) != len(backup.databases):
        raise BackupError("this backup has databases that nobody knows here: it is of a later one")
    staged: dict[str, Path] = {}
    stopped: list[str] = []
    doubtful = 0
    try:
        for name, database in wanted.items():
            staged[name] = _stage(database, backup.databases[name])
            if database == config.tasks:
                doubtful = _doubted(staged[name])
        for database in wanted.values():
            stopped.append(database.unit)
            control("stop", database.unit)
        if not force and (lost := newer(config, backup.made)):
            words = "1 task has" if lost == 1 else f"{lost} tasks have"
            raise BackupError(f"{words} changed here since: they would be lost; --force does it")
        for name, database in wanted.items():
            _replace(database.path, staged[name])
    finally:
        for file in staged.values():
            file.unlink(missing_ok=True)
        _start(stopped, control)
    return {"restored": sorted(wanted), "made": backup.made, "doubtful": doubtful}


def _doubted(staged: Path) -> int:
    try:
        return doubt(staged)
    except sqlite3.Error as error:
        raise BackupError(f"its tasks are of no use here: {error}") from None


def _start(units: list[str], control: Control) -> None:
    """One that does not start leaves the others to start."""
    faults = []
    for unit in units:
        try:
            control("start", unit)
        except BackupError as error:
            faults.append(str(error))
    if faults:
        raise BackupError("; ".join(faults))


def systemctl(verb: str, unit: str) -> None:
    """Stop or start a unit. Raises BackupError."""
    run = subprocess.run(["systemctl", verb, unit], capture_output=True, text=True, check=False)
    # A unit that is not there has nothing open, and nothing to start.
    if run.returncode and "not loaded" not in run.stderr and "not found" not in run.stderr:
        raise BackupError(f"systemctl {verb} {unit}: {run.stderr.strip()}")


def _stage(database: Database, content: bytes) -> Path:
    """The file beside its place, whole, and its owner's."""
    file = database.path.with_name(f"{database.path.name}.restored")
    file.unlink(missing_ok=True)
    try:
        owner = pwd.getpwnam(database.owner)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            os.fchown(stream.fileno(), owner.pw_uid, owner.pw_gid)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except (KeyError, OSError) as error:
        words = "run `pyinfra inventory.py deploy.py` first: the place for it is not there"
        raise BackupError(f"{database.path}: {error}: {words}") from None
    return file


def _replace(path: Path, staged: Path) -> None:
    """What SQLite has not written back yet stays with the old file."""
    for suffix in ("-wal", "-shm", ""):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.replace(path.with_name(f"{path.name}.before-restore{suffix}"))
    staged.replace(path)
