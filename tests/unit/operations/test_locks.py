"""The lock of a host, by the shells that hosts have, with a directory for /var/run/agentfleet."""

from __future__ import annotations

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from facts.services import RUN_DIR
from fleet.run import Run
from operations import locks
from operations.locks import (
    ABANDONED_MIN,
    HISTORY_MOST,
    STILL_AT_WORK,
    hold,
    let_go,
    take_away,
    who_holds,
)
from operations.plans import wrap
from tests.unit.conftest import SHELLS, on_linux

pytestmark = on_linux
ANNA = Run("1-a", "anna", "desk", "2026-01-01T00:00:00Z", "pyinfra; $(touch /tmp/never) `x` 'y'")
BEN = Run("2-b", "ben", "lap top", "2026-01-01T00:01:00Z", "pyinfra")


class Place:
    """A host's directory."""

    def __init__(self, shell: list[str], folder: Path) -> None:
        self.shell, self.folder = shell, folder
        self.history = folder / "state" / "history.jsonl"

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        text = wrap(script).replace(RUN_DIR, str(self.folder / "run"))
        return subprocess.run(
            [*self.shell, "-s"], input=text, capture_output=True, text=True, check=False
        )

    def does(self, script: str) -> str:
        done = self.run(script)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def let_go(self, run: Run) -> str:
        return self.does(let_go(run, str(self.history), {"run": run.id, "what": "it's\n$(x)"}))

    @property
    def lock(self) -> Path:
        return self.folder / "run" / "lock"


@pytest.fixture(params=SHELLS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(SHELLS[request.param], tmp_path)


def test_it_is_one_runs_and_renewed_by_it(place: Place) -> None:
    assert place.does(who_holds()) == ""
    place.does(hold(ANNA))
    assert place.does(who_holds()) == ANNA.words
    old = time.time() - 600
    os.utime(place.lock, (old, old), follow_symlinks=False)
    place.does(hold(ANNA))
    assert place.lock.lstat().st_mtime > old + 500


def test_another_is_refused_and_told_whose_it_is(place: Place) -> None:
    place.does(hold(ANNA))
    done = place.run(f"{hold(BEN)}\necho changed")
    assert done.returncode == 1
    assert f"agentfleet: locked by another run: {ANNA.words}" in done.stderr
    assert done.stdout == ""


def test_the_end_of_a_run_is_noted_and_frees_the_host(place: Place) -> None:
    place.does(hold(ANNA))
    assert place.let_go(ANNA) == ""
    assert json.loads(place.history.read_text()) == {"run": "1-a", "what": "it's\n$(x)"}
    assert place.history.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in place.lock.parent.iterdir()) == []
    place.does(hold(BEN))
    assert place.let_go(ANNA) == ""
    assert place.does(who_holds()) == BEN.words, "what is not ours stays"


def test_one_that_nobody_renews_is_nobodys(place: Place) -> None:
    place.does(hold(ANNA))
    old = time.time() - (ABANDONED_MIN + 2) * 60
    os.utime(place.lock, (old, old), follow_symlinks=False)
    assert place.does(who_holds()) == ""
    place.does(hold(BEN))
    assert place.does(who_holds()) == BEN.words
    assert place.run(hold(ANNA)).returncode == 1, "it is too late for the first"


def test_a_script_that_outlives_its_run_is_waited_for(place: Place) -> None:
    text = wrap(f"{hold(ANNA)}\necho at work\nsleep 600 & wait")
    text = text.replace(RUN_DIR, str(place.folder / "run"))
    with (
        subprocess.Popen(
            [*place.shell, "-c", text], stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as script,
        ThreadPoolExecutor() as pool,
    ):
        assert script.stdout
        assert script.stdout.readline() == "at work\n"
        assert place.let_go(ANNA) == STILL_AT_WORK
        next_one = pool.submit(place.does, hold(BEN))
        time.sleep(1.5)
        assert not next_one.done()
        assert place.does(who_holds()) == ANNA.words
        os.killpg(script.pid, 9)
        script.wait()  # a zombie would count as at work
        next_one.result(timeout=20)
    assert place.does(who_holds()) == BEN.words


def test_a_dead_run_of_this_workstation_has_no_lock_any_more(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.does(hold(ANNA))
    assert place.run(hold(BEN)).returncode == 1
    monkeypatch.setattr(locks, "dead_runs", lambda: ("0 x@y", ANNA.words))
    place.does(hold(BEN))
    assert place.does(who_holds()) == BEN.words


def test_of_many_at_once_one_gets_it(place: Place) -> None:
    """An abandoned one, which all of them find at the same moment."""
    place.does(hold(ANNA))
    old = time.time() - (ABANDONED_MIN + 2) * 60
    os.utime(place.lock, (old, old), follow_symlinks=False)
    runs = [Run(f"{n}", "x", "y", "now", "z") for n in range(12)]
    texts = [wrap(hold(run)).replace(RUN_DIR, str(place.folder / "run")) for run in runs]
    started = [
        subprocess.Popen([*place.shell, "-c", text], stderr=subprocess.DEVNULL) for text in texts
    ]
    won = [run for run, process in zip(runs, started, strict=True) if process.wait() == 0]
    assert len(won) == 1
    assert place.does(who_holds()) == won[0].words


def test_taking_it_away_takes_that_one(place: Place) -> None:
    place.does(hold(ANNA))
    place.does(take_away(BEN.words))
    assert place.does(who_holds()) == ANNA.words
    place.does(take_away(ANNA.words))
    assert place.does(who_holds()) == ""


def test_a_history_does_not_grow_for_ever(place: Place) -> None:
    place.history.parent.mkdir()
    place.history.write_text("".join(f'{{"run": "{n}"}}\n' for n in range(HISTORY_MOST)))
    place.let_go(ANNA)
    lines = place.history.read_text().splitlines()
    assert len(lines) == HISTORY_MOST // 2
    assert json.loads(lines[-1])["run"] == "1-a"


def test_words_are_one_short_printable_line() -> None:
    run = Run("1", "a\nb\x1b[31m", "c", "d", "e" * 500)
    assert run.words.isprintable()
    assert len(run.words) <= 200
