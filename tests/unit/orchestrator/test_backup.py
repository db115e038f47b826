"""Backups: made of databases in use, readable for operators alone, put back whole or not at all."""

from __future__ import annotations

import getpass
import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fleet.commands.restore import decrypted
from fleet.problems import FleetError
from orchestrator import backup
from orchestrator.backup import BackupError, Config, read_config
from orchestrator.tasks.model import Draft, State
from orchestrator.tasks.store import Store
from tests.unit.conftest import on_linux
from tests.unit.orchestrator.test_sessions import AGENTS, talking

pytestmark = on_linux
needs_age = pytest.mark.skipif(not shutil.which("age"), reason="there is no `age` here")
MADE = 1_700_000_000.0


class There:
    """An orchestrator's databases, of which two exist; what its services were told."""

    def __init__(self, path: Path) -> None:
        self.path, self.told = path, list[tuple[str, str]]()
        self.database = path / "tasks.sqlite"
        with closing(self.open("ledger")) as ledger:
            ledger.execute("CREATE TABLE sessions (name TEXT)")
        self.add(MADE - 10)
        self.key = path / "id_ed25519"
        self._keygen(self.key)
        said = {
            "fleet": "home",
            "databases": {
                name: {
                    "path": str(path / f"{name}.sqlite"),
                    "owner": getpass.getuser(),
                    "unit": f"agentfleet-{name}.service",
                }
                for name in ("tasks", "ledger", "notes")
            },
            "recipients": str(self.key.with_suffix(".pub")),
            "host": "rpi1",
            "reached": str(path / "agents.json"),
        }
        (path / "backup.json").write_text(json.dumps(said))
        self.config: Config = read_config(path / "backup.json")

    def _keygen(self, key: Path) -> None:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
        subprocess.run(command, check=True)

    def open(self, name: str) -> sqlite3.Connection:
        return sqlite3.connect(self.path / f"{name}.sqlite", isolation_level=None)

    def add(self, at: float, *states: State, **values: Any) -> None:
        """A task that comes to these states, one after the other, in that moment."""
        with closing(Store(self.database, lambda: at)) as store:
            number = store.add(Draft("look"), "alice").id
            for state in states:
                store.change(number, state, **values)

    def tasks(self) -> list[tuple[int, str]]:
        with closing(self.open("tasks")) as database:
            return list(database.execute("SELECT id, state FROM tasks ORDER BY id"))

    def control(self, verb: str, unit: str) -> None:
        self.told.append((verb, unit))

    def restore(self, content: bytes, **how: Any) -> dict[str, Any]:
        return backup.restore(self.config, content, self.control, **how)

    def files(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.path.glob("*.sqlite*")}


@pytest.fixture
def there(tmp_path: Path) -> There:
    return There(tmp_path)


def test_what_is_written_meanwhile_does_not_break_it(there: There) -> None:
    with closing(there.open("tasks")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute(
            "INSERT INTO plans (goal, state, by, created, at_once) VALUES ('', '', '', 0, 0)"
        )
        content = backup.packed(there.config, MADE)
        writer.execute("COMMIT")
    found = backup.unpacked(content)
    assert (found.fleet, found.made, sorted(found.databases)) == ("home", MADE, ["ledger", "tasks"])
    there.restore(content)
    with closing(there.open("tasks")) as database:
        assert database.execute("SELECT * FROM plans").fetchall() == []


def test_it_comes_back_on_a_blank_orchestrator(there: There) -> None:
    content = backup.packed(there.config, MADE)
    for file in there.path.glob("*.sqlite*"):
        file.unlink()
    said = there.restore(content)
    assert said == {"restored": ["ledger", "tasks"], "made": MADE, "doubtful": 1}
    assert there.tasks() == [(1, "lost")]
    assert (there.path / "tasks.sqlite").stat().st_mode & 0o777 == 0o600
    stops, starts = there.told[:2], there.told[2:]
    assert {verb for verb, _ in stops} == {"stop"}
    assert starts == [("start", unit) for _, unit in stops]


def test_newer_tasks_are_not_lost_unless_somebody_insists(there: There) -> None:
    content = backup.packed(there.config, MADE)
    there.add(MADE + 10)
    before = there.files()
    with pytest.raises(BackupError, match="1 task has changed here since"):
        there.restore(content)
    assert there.files() == before
    assert there.told[-1][0] == "start", "the services run again"
    there.restore(content, force=True)
    assert [number for number, _ in there.tasks()] == [1]
    with closing(sqlite3.connect(there.path / "tasks.sqlite.before-restore")) as kept:
        assert kept.execute("SELECT count(*) FROM tasks").fetchone() == (2,)


def test_what_is_no_backup_touches_nothing(there: There) -> None:
    content = backup.packed(there.config, MADE)
    before = there.files()
    for wrong in (b"", b"no", content[: len(content) // 2], content[:200]):
        with pytest.raises(BackupError, match="no backup"):
            there.restore(wrong)
    assert there.files() == before
    assert there.told == []


def test_what_waited_then_is_not_sent_again_by_itself(there: There) -> None:
    """It may have been done after the backup, which knows nothing of that."""
    told = (State.RESERVED, State.RUNNING)
    there.add(MADE - 9, State.RESERVED, host="rpi1")
    there.add(MADE - 8, *told, sent=MADE - 8, session="s", run="r")
    there.add(MADE - 7, *told, State.DONE, sent=MADE - 7)
    there.add(MADE - 6, State.CANCELLED)
    assert there.restore(backup.packed(there.config, MADE))["doubtful"] == 2
    states = ["lost", "lost", "running", "done", "cancelled"]
    assert there.tasks() == list(enumerate(states, 1))
    with closing(Store(there.database)) as store:
        assert "may have been done since" in store.task(1).reason
        assert "may have been done since" in store.events(1)[-1].text
        assert [one.id for one in store.in_progress()] == [3], "nobody carries on the others"
        assert store.again(1, "alice").state is State.QUEUED


def test_a_backup_of_a_newer_program_is_refused(there: There) -> None:
    with closing(there.open("tasks")) as database:
        database.execute("PRAGMA user_version = 999")
    content = backup.packed(there.config, MADE)
    before = there.files()
    with pytest.raises(BackupError, match=r"of no use here: .* is of version 999"):
        there.restore(content)
    assert there.files() == before
    assert there.told == []


def test_another_fleets_backup_is_refused(there: There) -> None:
    content = backup.packed(there.config, MADE)
    said = json.loads((there.path / "backup.json").read_text()) | {"fleet": "office"}
    (there.path / "backup.json").write_text(json.dumps(said))
    there.config = read_config(there.path / "backup.json")
    with pytest.raises(BackupError, match="of the fleet home, not office"):
        there.restore(content)


def test_a_place_that_is_not_there_is_said(there: There) -> None:
    content = backup.packed(there.config, MADE)
    said = json.loads((there.path / "backup.json").read_text())
    said["databases"]["ledger"]["owner"] = "nobody-of-that-name"
    (there.path / "backup.json").write_text(json.dumps(said))
    there.config = read_config(there.path / "backup.json")
    with pytest.raises(BackupError, match=r"run .pyinfra"):
        there.restore(content)
    assert there.tasks() == [(1, "queued")]
    assert not list(there.path.glob("*.restored"))


def test_nothing_to_back_up_is_said(there: There) -> None:
    for file in there.path.glob("*.sqlite*"):
        file.unlink()
    with pytest.raises(BackupError, match="nothing to back up yet"):
        backup.packed(there.config, MADE)


@needs_age
def test_it_goes_to_its_host_and_only_an_operator_can_read_it(
    there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f'for last; do :; done; echo "$last" >{there.path}/verb; cat >{there.path}/kept'
    talking(there.path, monkeypatch, script)
    assert AGENTS["agents"]
    name = backup.back_up(there.config, MADE)
    assert name == "orchestrator-20231114-221320.tar.gz.age"
    kept = (there.path / "kept").read_bytes()
    assert (there.path / "verb").read_text() == f"keep-backup {name} {len(kept)}\n"
    assert b"SQLite" not in kept
    stranger = there.path / "stranger"
    there._keygen(stranger)
    with pytest.raises(FleetError, match="age: "):
        decrypted(kept, (stranger,))
    there.add(MADE - 5)
    there.restore(decrypted(kept, (stranger, there.key)))
    assert [number for number, _ in there.tasks()] == [1]


@needs_age
@pytest.mark.parametrize(("listed", "makes"), [("orchestrator-1.tar.gz.age", False), ("", True)])
def test_a_blank_orchestrator_makes_none_that_would_be_the_newest(
    there: There, monkeypatch: pytest.MonkeyPatch, listed: str, makes: bool
) -> None:
    for file in there.path.glob("tasks.sqlite*"):
        file.unlink()
    Store(there.database).close()
    script = f'for last; do :; done; echo "$last" >>{there.path}/verbs; cat >&2; echo {listed}'
    talking(there.path, monkeypatch, script)
    if makes:
        backup.back_up(there.config, MADE)
    else:
        with pytest.raises(BackupError, match="rpi1 keeps backups: `fleet restore` brings"):
            backup.back_up(there.config, MADE)
    assert ("keep-backup" in (there.path / "verbs").read_text()) is makes


@needs_age
def test_without_anybody_who_could_read_it_there_is_none(there: There) -> None:
    there.config.recipients.write_text("# nobody\n")
    with pytest.raises(BackupError, match="age: "):
        backup.encrypted(b"x", there.config.recipients)
