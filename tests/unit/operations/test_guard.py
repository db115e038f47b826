"""A guarded change comes back by itself unless it was confirmed: the scripts run here for real.

The manager (systemd, launchd) only notes what it is told; its unit or job is run by the tests.
"""

from __future__ import annotations

import os
import plistlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.resources import File, Guard, Resources
from fleet.ssh import Route
from operations import guard, undo
from operations.change import wrap
from tests.unit.conftest import FakeHost, FakeProgram, RealHost, Run, on_linux

pytestmark = on_linux
SHELLCHECK = str(Path(sys.executable).with_name("shellcheck"))


class Guarded:
    """A host with three guarded files: one that is there, one that is not, and a link."""

    def __init__(self, host: RealHost, mac: bool) -> None:
        self.host = host
        self.there, self.absent, self.link = (host.root / n for n in ("there", "absent", "link"))
        self.there.write_text("old")
        self.there.chmod(0o640)
        self.link.symlink_to("nowhere")
        self.told, self.manager = host.root / "told", host.root / "manager.log"
        self.guard = Guard(tuple(map(str, (self.there, self.absent, self.link))), self.revert("a"))
        self.context = replace(host.context(Resources()), mac=mac)
        self.directory = Path(undo.armed_path(self.context)).parent

    def revert(self, word: str) -> str:
        return f"echo {word} >>{self.told}"

    def try_to_arm(self, window_s: int = 90) -> Run:
        armed = replace(self.guard, window_s=window_s)
        return self.host.sh(wrap(undo.arm_script(armed, self.context)))

    def arm(self) -> None:
        run = self.try_to_arm()
        assert run.returncode == 0, run.stderr

    def change(self, text: str = "new") -> None:
        for path in (self.there, self.absent, self.link):
            path.unlink(missing_ok=True)
            path.write_text(text)
            path.chmod(0o600)

    def confirm(self) -> Run:
        return self.host.sh(wrap(undo.confirm_script(self.context)))

    def undo(self) -> Run:
        """What the manager runs."""
        return self.host.sh((self.directory / "run").read_text())

    def is_as_it_was(self) -> bool:
        return (
            (self.there.read_text(), self.there.stat().st_mode & 0o777) == ("old", 0o640)
            and not self.absent.exists()
            and self.link.is_symlink()
            and str(self.link.readlink()) == "nowhere"
        )

    def left_over(self) -> list[str]:
        """What an arming put on the host and the end of it should have taken away."""
        units = [path.name for path in (self.host.root / "units").iterdir()]
        kept = [str(self.directory)] if self.directory.exists() else []
        return [*units, *kept, *(p.name for p in self.host.root.glob(".*agentfleet-undo"))]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: FakeProgram) -> Path:
    """Units and jobs of this machine are not the tests'; time does not pass."""
    units = tmp_path / "units"
    units.mkdir()
    monkeypatch.setattr(undo, "SYSTEMD", str(units))
    monkeypatch.setattr(undo, "LAUNCHD", str(units))
    note = f"echo \"$*\" >>'{tmp_path}/manager.log'"
    program("systemctl", note)
    alive = "printf '\\tpid = 7\\n'"
    program(
        "launchctl",
        f"""{note}
case "$1" in
    bootstrap) : >'{tmp_path}/loaded' ;;
    bootout) rm '{tmp_path}/loaded' ;;
    print) [ -f '{tmp_path}/loaded' ] || exit 113; {alive} ;;
esac""",
    )
    for quiet in ("logger", "sync"):
        program(quiet, "exit 0")
    return program("sleep", f"echo \"$*\" >>'{tmp_path}/slept'")


@pytest.fixture(params=["linux", "mac"])
def it(request: pytest.FixtureRequest, real_host: RealHost, here: Path) -> Guarded:
    real_host.path = f"{here}:{real_host.path}"
    return Guarded(real_host, mac=request.param == "mac")


@pytest.fixture
def linux(dash_host: RealHost, here: Path) -> Guarded:
    dash_host.path = f"{here}:{dash_host.path}"
    return Guarded(dash_host, mac=False)


def test_without_confirmation_everything_is_as_it_was(it: Guarded) -> None:
    it.arm()
    it.change()
    run = it.undo()
    assert (run.returncode, run.stderr) == (0, "")
    assert it.is_as_it_was()
    assert it.told.read_text() == "a\n"
    assert it.left_over() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_owners_come_back_too(it: Guarded) -> None:
    os.chown(it.there, 4321, 4322)
    it.arm()
    it.change()
    it.undo()
    assert (it.there.stat().st_uid, it.there.stat().st_gid) == (4321, 4322)


def test_what_was_removed_comes_back_with_its_directory(linux: Guarded) -> None:
    directory = linux.host.root / "home"
    directory.mkdir()
    (directory / "keys").write_text("old")
    linux.guard = replace(linux.guard, paths=(str(directory / "keys"),))
    linux.arm()
    (directory / "keys").unlink()
    directory.rmdir()
    linux.undo()
    assert (directory / "keys").read_text() == "old"


def test_a_link_to_a_directory_gives_way(linux: Guarded) -> None:
    linux.arm()
    elsewhere = linux.host.root / "elsewhere"
    elsewhere.mkdir()
    linux.there.unlink()
    linux.there.symlink_to(elsewhere)
    linux.undo()
    assert linux.is_as_it_was()
    assert list(elsewhere.iterdir()) == []


def test_a_full_disk_does_not_keep_us_out(linux: Guarded, program: FakeProgram) -> None:
    """There is no room for a copy beside the file."""
    linux.arm()
    linux.change()
    program(
        "cp", 'case "$3" in *agentfleet-undo) echo part >"$3"; exit 1 ;; esac; exec /bin/cp "$@"'
    )
    linux.undo()
    assert linux.is_as_it_was()
    assert linux.left_over() == []


def test_confirmed_it_stays(it: Guarded) -> None:
    it.arm()
    late = (it.directory / "run").read_text()
    it.change()
    run = it.confirm()
    assert (run.returncode, run.stderr) == (0, "")
    assert it.left_over() == []
    assert it.host.sh(late).returncode == 0, "who wakes up late does nothing"
    assert it.there.read_text() == "new"
    assert not it.told.exists()


def test_a_confirmation_that_comes_too_late_is_told(it: Guarded) -> None:
    it.arm()
    it.change()
    it.undo()
    late = it.confirm()
    assert late.returncode == undo.TOO_LATE
    assert undo.TAKEN_BACK in late.stderr
    assert it.is_as_it_was()


def test_a_confirmation_that_was_cut_off_counts(it: Guarded) -> None:
    """The connection broke after the decision: a second attempt tidies up, and so does the undo."""
    for tidy_up in (it.confirm, it.undo):
        it.arm()
        it.change()
        (it.directory / "undo").rename(it.directory / "confirmed")
        assert tidy_up().returncode == 0
        assert it.there.read_text() == "new"
        assert it.left_over() == []


def test_an_undo_that_was_cut_off_is_finished(it: Guarded) -> None:
    """As at the boot after a power cut; nobody arms anew meanwhile."""
    it.arm()
    it.change()
    (it.directory / "undo").rename(it.directory / "undoing")
    early = it.try_to_arm()
    assert early.returncode == 1
    assert "run again" in early.stderr
    it.undo()
    assert it.is_as_it_was()
    assert it.left_over() == []


def test_copies_of_what_was_never_confirmed_stay_the_good_ones(it: Guarded) -> None:
    """Also when the next run guards other files, in another order, and reverts otherwise."""
    it.arm()
    it.change("bad")
    more = it.host.root / "more"
    more.write_text("more")
    it.guard = Guard((str(more), str(it.there)), it.revert("b"))
    it.arm()
    it.change("worse")
    more.write_text("worse")
    it.undo()
    assert it.is_as_it_was()
    assert more.read_text() == "more"
    assert it.told.read_text() == "b\n"


def test_copies_are_private_and_scripts_too(it: Guarded) -> None:
    it.arm()
    assert it.directory.stat().st_mode & 0o077 == 0


def test_whoever_sleeps_already_sleeps_on(linux: Guarded, program: FakeProgram) -> None:
    """Arming again while the wait is on: a full window from then."""
    slept = linux.host.root / "slept"
    again = linux.directory / "again"
    program("sleep", f'echo "$1" >>{slept}; [ $(wc -l <{slept}) -ne 1 ] || : >{again}')
    linux.arm()
    slept.write_text("")
    linux.undo()
    assert slept.read_text() == "90\n90\n"


def test_arming_fails_when_the_undo_does_not_live(linux: Guarded, program: FakeProgram) -> None:
    program("systemctl", 'case "$*" in *is-active*) exit 3 ;; esac')
    run = linux.try_to_arm()
    assert run.returncode == 1
    assert "nothing is changed" in run.stderr


def test_arming_fails_when_the_undo_was_quicker(linux: Guarded, program: FakeProgram) -> None:
    program("sleep", f"[ ! -f {linux.directory}/undo ] || mv {linux.directory}/undo {linux.told}")
    assert linux.try_to_arm().returncode == 1


def test_only_one_of_the_two_wins(real_host: RealHost, here: Path) -> None:
    """The undo and the confirmation at the same moment, several times."""
    real_host.path = f"{here}:{real_host.path}"
    it = Guarded(real_host, mac=False)
    for _ in range(10):
        it.there.unlink()
        it.there.write_text("old")
        it.arm()
        it.change()
        racing = subprocess.Popen(
            [*it.host.shell, str(it.directory / "run")], env={"PATH": it.host.path}
        )
        confirmed = it.confirm()
        racing.wait(timeout=20)
        assert confirmed.returncode in (0, undo.TOO_LATE)
        assert it.there.read_text() == ("new" if confirmed.returncode == 0 else "old")
        assert it.left_over() == []


def test_a_reboot_cannot_prevent_it(linux: Guarded) -> None:
    linux.arm()
    (name,) = linux.left_over()[:1]
    assert name == "agentfleet-undo-cap.service"
    unit = (linux.host.root / "units" / name).read_text()
    assert f"ExecStart=/bin/sh {linux.directory}/run\n" in unit
    assert "WantedBy=multi-user.target\n" in unit
    asked = linux.manager.read_text().splitlines()
    assert asked[1:3] == [f"-q enable {name}", f"start {name}"]


def test_a_mac_gets_a_launch_daemon(dash_host: RealHost, here: Path) -> None:
    dash_host.path = f"{here}:{dash_host.path}"
    mac = Guarded(dash_host, mac=True)
    mac.arm()
    (path,) = (dash_host.root / "units").iterdir()
    assert plistlib.loads(path.read_bytes()) == {
        "Label": "org.agentfleet.undo-cap",
        "ProgramArguments": ["/bin/sh", f"{mac.directory}/run"],
        "RunAtLoad": True,
    }
    assert f"bootstrap system {path}" in mac.manager.read_text()
    mac.undo()
    assert mac.manager.read_text().splitlines()[-1] == "bootout system/org.agentfleet.undo-cap"


@pytest.mark.parametrize("mac", [False, True])
def test_the_scripts_are_sound_sh(mac: bool, dash_host: RealHost) -> None:
    it = Guarded(dash_host, mac=mac)
    for script in (undo.arm_script(it.guard, it.context), undo.confirm_script(it.context)):
        _shellcheck(wrap(script))
    _shellcheck(undo._run(it.guard, it.context))


def _shellcheck(script: str) -> None:
    check = [SHELLCHECK, "--shell=sh", "--severity=info", "--exclude=SC2034", "-"]
    run = subprocess.run(check, input=script, text=True, capture_output=True, check=False)
    assert run.returncode == 0, run.stdout


# when to arm, and how long to insist

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


def attempts(*faults: str) -> tuple[Callable[[], str], list[str]]:
    left = list(faults)
    return lambda: left.pop(0), left


def test_a_connection_that_fails_first_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PAUSE_S", 0)
    attempt, left = attempts("refused", "refused", "")
    assert guard.insist(attempt) == ""
    assert left == []


def test_nobody_insists_when_it_is_too_late() -> None:
    attempt, left = attempts(undo.TAKEN_BACK, "")
    assert undo.TAKEN_BACK in guard.insist(attempt)
    assert left == [""]


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "CONFIRM_S", 0)
    attempt, _ = attempts("Connection timed out", "")
    assert guard.insist(attempt).endswith("takes the change back by itself: Connection timed out")


def test_it_is_confirmed_through_a_connection_of_its_own(
    linux: Guarded, program: FakeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ssh that runs here what it should run there."""
    words = linux.host.root / "words"
    directory = program("ssh", f"printf '%s\\n' \"$@\" >{words}; exec sh -s")
    linux.arm()
    linux.change()
    monkeypatch.setenv("PATH", f"{directory}:{linux.host.path}")
    way = Route("10.0.0.1", 22, "admin", None, None, "pi")
    assert guard.confirm(way, linux.context) == ""
    assert linux.left_over() == []
    assert {"ControlMaster=no", "ControlPath=none"} <= set(words.read_text().splitlines())
    assert undo.TAKEN_BACK in guard.confirm(way, linux.context), "nothing is armed any more"
