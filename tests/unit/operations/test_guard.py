"""A guarded change comes back by itself unless it was confirmed: the scripts run here for real."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from facts.look import guard_mark
from fleet.resources import File, Guard, Resources
from operations import guard
from operations.change import wrap
from tests.unit.conftest import FakeHost, FakeProgram, RealHost, Run, on_linux

pytestmark = on_linux


class Guarded:
    """A host with two guarded files: one that is there, one that is not."""

    def __init__(self, host: RealHost) -> None:
        self.host = host
        self.there, self.absent = host.root / "there", host.root / "absent"
        self.there.write_text("old")
        self.there.chmod(0o640)
        self.told = host.root / "told"
        paths = (str(self.there), str(self.absent))
        self.guard = Guard(paths, f"echo reverted >>{self.told}")
        self.context = host.context(Resources())
        self.directory = Path(self.context.state_dir) / "guard" / "cap"

    def arm(self) -> None:
        run = self.host.sh(wrap(self._here(guard.armed(self.guard, self.context))))
        assert run.returncode == 0, run.stderr

    def change(self, text: str = "new") -> None:
        self.there.write_text(text)
        self.there.chmod(0o600)
        self.absent.write_text(text)

    def confirm(self) -> Run:
        return self.host.sh(wrap(self._here(guard.confirmed(self.context))))

    def undo(self) -> Run:
        """What the timer runs."""
        script = self._here((self.directory / "run").read_text())
        return self.host.sh(script)

    def _here(self, script: str) -> str:
        """The script with the host's unit directory inside the test's own."""
        return script.replace("/etc/systemd/system", str(self.host.root / "units"))


@pytest.fixture
def it(real_host: RealHost, program: FakeProgram) -> Guarded:
    (real_host.root / "units").mkdir()
    log = real_host.root / "systemctl.log"
    real_host.path = f"{program('systemctl', f'echo $* >>{log}')}:{real_host.path}"
    return Guarded(real_host)


def units(it: Guarded) -> list[str]:
    return sorted(path.name for path in (it.host.root / "units").iterdir())


def test_without_confirmation_everything_is_as_it_was(it: Guarded) -> None:
    it.arm()
    assert units(it) == ["agentfleet-undo-cap.service", "agentfleet-undo-cap.timer"]
    assert "restart agentfleet-undo-cap.timer" in (it.host.root / "systemctl.log").read_text()
    it.change()
    assert it.undo().returncode == 0
    assert (it.there.read_text(), it.there.stat().st_mode & 0o777) == ("old", 0o640)
    assert not it.absent.exists()
    assert it.told.read_text() == "reverted\n"
    assert not it.directory.exists()
    assert units(it) == []


def test_confirmed_it_stays(it: Guarded) -> None:
    it.arm()
    undo = (it.directory / "run").read_text()
    it.change()
    assert it.confirm().returncode == 0
    assert not it.directory.exists()
    assert units(it) == []
    assert it.host.sh(undo).returncode == 0, "a timer that fires late does nothing"
    assert it.there.read_text() == "new"
    assert not it.told.exists()


def test_a_confirmation_that_comes_too_late_is_told(it: Guarded) -> None:
    it.arm()
    it.change()
    it.undo()
    late = it.confirm()
    assert late.returncode == guard.TOO_LATE
    assert "taken the change back already" in late.stderr
    assert it.there.read_text() == "old"


def test_an_undo_that_was_cut_off_is_finished(it: Guarded) -> None:
    it.arm()
    it.change()
    (it.directory / "undo").rename(it.directory / "undoing")
    assert it.undo().returncode == 0
    assert it.there.read_text() == "old"


def test_copies_of_what_was_never_confirmed_stay_the_good_ones(it: Guarded) -> None:
    it.arm()
    it.change("bad")
    it.arm()
    it.change("worse")
    it.undo()
    assert it.there.read_text() == "old"
    assert not it.absent.exists()


def test_copies_are_private(it: Guarded) -> None:
    it.arm()
    assert it.directory.stat().st_mode & 0o077 == 0


def test_only_one_of_the_two_wins(it: Guarded) -> None:
    """The timer and the confirmation at the same moment, several times."""
    for _ in range(10):
        it.there.write_text("old")
        it.arm()
        it.change()
        script = it._here((it.directory / "run").read_text())
        racing = subprocess.Popen(
            [*it.host.shell, "-s"], stdin=subprocess.PIPE, text=True, env={"PATH": it.host.path}
        )
        assert racing.stdin
        racing.stdin.write(script)
        racing.stdin.close()
        confirmed = it.confirm().returncode == 0
        racing.wait(timeout=20)
        assert it.there.read_text() == ("new" if confirmed else "old")


KEYS = File("/home/a/.ssh/authorized_keys", b"key\n", "t", owner="a", group="", mode="0600")
WANT = Resources(guard=Guard((KEYS.path,), ":"), files=(KEYS,))


def test_it_is_armed_only_when_a_guarded_file_changes() -> None:
    same = FakeHost().has(KEYS)
    assert guard.plan(WANT, same.context("cap", WANT), same.look) is None
    other = FakeHost().has_file(KEYS.path, b"other\n")
    change = guard.plan(WANT, other.context("cap", WANT), other.look)
    assert change
    assert change.says == ("guard: armed, the host takes the change back in 90 s unless confirmed",)
    unguarded = replace(WANT, guard=Guard(("/elsewhere",), ":"))
    assert guard.plan(unguarded, other.context("cap", unguarded), other.look) is None


def test_a_mac_arms_a_launch_daemon_that_sleeps_first() -> None:
    host = FakeHost(mac=True).has_file(KEYS.path, b"other\n")
    change = guard.plan(WANT, host.context("cap", WANT), host.look)
    assert change
    assert "launchctl bootstrap system" in change.script
    assert "sleep 90" in change.script
    assert "systemctl" not in change.script


def test_the_mark_is_where_the_look_looks(it: Guarded) -> None:
    it.arm()
    assert Path(guard_mark(it.context.state_dir, "cap")).is_file()
