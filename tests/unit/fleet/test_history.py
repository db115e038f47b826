"""What runs have done: kept, cut, and asked for the hosts that were left out."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from fleet import history
from fleet.history import left_out, path_of, recall, remember, runs
from fleet.problems import FleetError
from fleet.provenance import last_run, origin, reading
from fleet.run import RUN, Run, _this_run, dead_runs, handed_on, this_run
from fleet.target import Target
from fleet.workstation import STATE
from tests.golden import target


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setenv(STATE, str(tmp_path / "state"))
    return replace(target(), name="real")


def outcome(**hosts: str) -> dict[str, object]:
    return {"run": "r", "hosts": {name: {"outcome": word} for name, word in hosts.items()}}


def test_it_is_kept_for_this_user_alone(fleet: Target) -> None:
    assert runs(fleet) == ()
    remember(fleet, {"run": "a", "who": "ü"})
    remember(fleet, {"run": "b"})
    assert [line["run"] for line in runs(fleet)] == ["a", "b"]
    assert path_of(fleet).stat().st_mode & 0o777 == 0o600
    assert path_of(fleet).parent.stat().st_mode & 0o777 == 0o700


def test_it_does_not_grow_for_ever(fleet: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST", 10)
    for number in range(11):
        remember(fleet, {"run": number})
    assert [line["run"] for line in runs(fleet)] == [6, 7, 8, 9, 10]


def test_damage_costs_the_damaged_lines_alone() -> None:
    assert list(recall('{"run": 1}\nnonsense\n[]\n\x00\n{"run": 2}\n')) == [{"run": 1}, {"run": 2}]


def test_the_last_word_on_a_host_says_whether_it_was_left_out(fleet: Target) -> None:
    assert left_out(fleet) == ()
    remember(fleet, outcome(rpi1="asleep", rpi2="down", imac="untouched", rpi3="failed"))
    remember(fleet, outcome(rpi2="changed", gone="asleep"))
    remember(fleet, {"run": "odd", "hosts": {"rpi1": "?"}})
    assert left_out(fleet) == ("imac", "rpi1")


def test_a_run_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run("1-a", "anna", "desk", "now", "apply", "c0ffee", "d1")
    for name, value in handed_on(run).items():
        monkeypatch.setenv(name, value)
    _this_run.cache_clear()
    assert this_run() == run
    monkeypatch.delenv(RUN)
    _this_run.cache_clear()
    assert this_run().id != "1-a"
    _this_run.cache_clear()


def test_many_at_once_are_parts_of_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE, str(tmp_path))
    _this_run.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: this_run(), range(8)))) == 1
    _this_run.cache_clear()


def test_a_run_that_dies_without_a_word_is_known_to_be_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STATE, str(tmp_path))
    code = "import sys, time; from fleet.run import this_run; print(this_run().words, flush=True)"
    code += "; time.sleep(600)"
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    words = [one.stdout.readline().strip() for one in started if one.stdout]
    dead_runs.cache_clear()
    assert dead_runs() == ()
    started[0].kill()
    started[0].wait()
    dead_runs.cache_clear()
    assert dead_runs() == (words[0],)
    started[1].terminate()
    started[1].wait()
    dead_runs.cache_clear()


def test_one_that_ends_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE, str(tmp_path))
    code = "from fleet.run import this_run; this_run()"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert list((tmp_path / "runs.d").iterdir()) == []


def test_what_is_read_is_noted_while_it_is_asked_for() -> None:
    fleet = target().fleet
    with reading(fleet) as read:
        assert fleet.host("rpi1").addresses.lan
    assert {"hosts", "hosts.rpi1.addresses", "hosts.rpi1.addresses.lan"} <= read
    before = set(read)
    assert fleet.scheduler
    assert read == before


def test_a_file_tells_where_it_comes_from() -> None:
    found = origin(target(), "rpi1", "/home/admin/.ssh/authorized_keys")
    assert (found.capability, found.kind) == ("operators", "file")
    assert found.template == "operators/authorized_keys.j2"
    assert "hosts.rpi1.ssh.user" in found.keys
    assert "operators.alice.ssh_keys" in found.keys
    assert "homes_dir" in found.values


def test_a_path_of_nobody_gets_guesses() -> None:
    with pytest.raises(FleetError, match=r"did you mean /home/admin/\.ssh/authorized_keys"):
        origin(target(), "rpi1", "/home/admin/.ssh/authorised_keys")


def test_the_last_run_that_touched_a_path() -> None:
    lines = (
        {"run": "1", "changes": ["file /etc/a: create"]},
        {"run": "2", "changes": ["file /etc/b: content"]},
        {"run": "3", "changes": None},
    )
    found = last_run(lines, "/etc/a")
    assert found
    assert found["run"] == "1"
    assert last_run(lines, "/etc/c") is None
