"""agentctl and the agent's own scripts, run here with programs that are told what to say."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from deploys import agentapi, budget, dispatch
from fleet.resources import File
from tests.golden import views
from tests.unit.conftest import SHELLS, on_linux

pytestmark = on_linux
TOKEN = "agentfleet-" + "x" * 43
SYSTEMCTL = """echo "systemctl $*" >>"$log"
case "$*" in
*is-enabled*) [ ! -e "$here/off" ] ;;
*is-active*) [ -e "$here/up" ] ;;
*stop*) rm -f "$here/up" ;;
*start*) [ ! -e "$here/broken" ] || exit 0; : >"$here/up" ;;
*MainPID*) echo 42 ;;
*InvocationID*) echo 0123456789abcdef0123456789abcdef ;;
esac"""
LAUNCHCTL = """echo "launchctl $*" >>"$log"
case "$1" in
print) [ -e "$here/up" ] || exit 113; printf '\\tpid = 42\\n' ;;
print-disabled) [ ! -e "$here/off" ] || echo '"org.agentfleet.agentapi" => disabled' ;;
bootout) rm -f "$here/up" ;;
bootstrap) [ ! -e "$here/broken" ] || exit 5; : >"$here/up" ;;
esac"""
CURL = """config=$(cat)
echo "curl $*" >>"$log"
echo "$config" >>"$here/config"
case "$*" in
*/status) [ -e "$here/up" ] || exit 7
    echo '{"$schema":"x","status":"stable","agent_type":"claude"}' ;;
*/left) echo '{"left": 3.5}' ;;
*/gate*) cat "$here/gate" 2>/dev/null || exit 22 ;;
esac"""


class Host:
    """A host with its scripts; `verb` calls agentctl there."""

    def __init__(self, path: Path, name: str, shell: list[str]) -> None:
        self.path, self.shell, self.view = path, shell, views()[name]
        self.home, self.state = path / "home", path / "state"
        for folder in (self.home, self.state, path / "bin"):
            folder.mkdir()
        self._program("systemctl", SYSTEMCTL)
        self._program("launchctl", LAUNCHCTL)
        self._program("curl", CURL)
        self._program(
            "setpriv", 'while [ "$1" != --clear-groups ]; do shift; done; shift; exec "$@"'
        )
        self._program("chroot", 'shift 7; exec "$@"')
        self._program("pkill", 'echo "pkill $*" >>"$log"')
        self._program("chown", 'echo "chown $*" >>"$log"')
        self._program("sleep", "exit 0")
        self._program("journalctl", "echo its last words")
        self._program("ps", "echo 'Thu Nov 26 16:01:02 2026'")
        self.ctl = self.script(dispatch.agentctl(self.view))
        self.script(dispatch.agent_code(self.view)).chmod(0o755)

    def _program(self, name: str, text: str) -> None:
        file = self.path / "bin" / name
        file.write_text(f"#!/bin/sh\nlog={self.path}/log here={self.path}\n{text}\n")
        file.chmod(0o755)

    def script(self, file: File) -> Path:
        """The script, made to work below the test's directory."""
        role = self.view.settings
        text = file.content.decode()
        for old, new in (
            (role.agent_home, str(self.home)),
            (agentapi.session_dir(self.view), str(self.state)),
            (agentapi.skeleton(self.view), str(self.path / "skeleton")),
            ("/usr/sbin/chroot", f"{self.path}/bin/chroot"),
            (f"{role.libexec_dir}/", f"{self.path}/"),
            (dispatch.backups_dir(self.view), str(self.path / "backups")),
            ("PATH=/usr/local/bin", f"PATH={self.path}/bin:/usr/local/bin"),
        ):
            text = text.replace(old, new)
        target = self.path / Path(file.path).name
        target.write_text(text)
        return target

    def verb(self, *words: str, says: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.shell, str(self.ctl), *words],
            input=says,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )

    def begin(self, name: str = "s1", token: str = TOKEN) -> subprocess.CompletedProcess[str]:
        return self.verb("new-session", says=f"{name}\n{token}\n")

    def log(self) -> str:
        return (self.path / "log").read_text()


@pytest.fixture(params=["rpi1-dash", "imac-bash"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    name, shell = request.param.split("-")
    return Host(tmp_path, name, SHELLS[shell])


def test_a_session_begins_with_an_empty_home(host: Host) -> None:
    (host.home / "work").mkdir()
    (host.home / "work" / "secret of the last task").write_text("x")
    (host.home / ".claude").mkdir()
    (host.home / ".claude" / "history.jsonl").write_text("x")
    (host.home / ".claude.json").symlink_to("/etc/passwd")
    run = host.begin()
    assert (run.returncode, run.stderr) == (0, "")
    assert [path.name for path in host.home.iterdir()] == ["sessions"]
    (old,) = (host.home / "sessions").iterdir()
    assert sorted(path.name for path in old.iterdir()) == [".claude", ".claude.json", "work"]
    assert Path("/etc/passwd").exists()
    assert (host.state / "session").read_text() == "s1\n"
    assert (host.state / "token").read_text() == f"{TOKEN}\n"
    assert (host.state / "token").stat().st_mode & 0o777 == 0o640
    assert "pkill -KILL -u claude-agent" in host.log()
    assert TOKEN not in host.log(), "no token in an argument"


def test_the_agent_stands_still_while_its_home_is_put_away(host: Host) -> None:
    (host.path / "up").touch()
    host.begin()
    steps = [line for line in host.log().splitlines() if "print" not in line and "show" not in line]
    stop = next(i for i, line in enumerate(steps) if " stop" in line or "bootout" in line)
    kill = next(i for i, line in enumerate(steps) if line.startswith("pkill"))
    start = next(i for i, line in enumerate(steps) if " start" in line or "bootstrap" in line)
    assert stop < kill < start


def test_ended_sessions_are_kept_and_not_for_ever(host: Host) -> None:
    for number in range(9):
        (host.home / "sessions" / f"2026010{number}-000000-s").mkdir(parents=True)
    (host.home / "work").mkdir()
    host.begin()
    kept = sorted(path.name for path in (host.home / "sessions").iterdir())
    assert len(kept) == dispatch.KEPT_SESSIONS
    assert kept[0] == "20260105-000000-s"


def test_a_session_that_does_not_begin_leaves_the_old_token(host: Host) -> None:
    assert host.begin("s1").returncode == 0
    (host.path / "broken").touch()
    run = host.begin("s2", TOKEN.replace("x", "y"))
    assert run.returncode == 1
    assert "the session has not begun" in run.stderr
    assert (host.state / "session").read_text() == "s1\n"
    assert (host.state / "token").read_text() == f"{TOKEN}\n"


def test_the_first_session_that_does_not_begin_leaves_none(host: Host) -> None:
    (host.path / "broken").touch()
    assert host.begin().returncode == 1
    assert list(host.state.iterdir()) == []


@pytest.mark.parametrize(
    "says", ["", "s1\n", "s1\n\n", f"../x\n{TOKEN}\n", f"s 1\n{TOKEN}\n", "s1\n$(reboot)\n"]
)
def test_what_is_no_session_changes_nothing(host: Host, says: str) -> None:
    (host.path / "up").touch()
    (host.home / "work").mkdir()
    run = host.verb("new-session", says=says)
    assert run.returncode == 1
    assert "agentctl: " in run.stderr
    assert (host.home / "work").exists()
    assert (host.path / "up").exists()


def test_an_agent_that_is_off_stays_off(host: Host) -> None:
    (host.path / "off").touch()
    for run in (host.begin(), host.verb("start")):
        assert run.returncode == 1
        assert "off in fleet.yaml" in run.stderr
    assert not (host.path / "up").exists()


def test_status_stop_and_start(host: Host) -> None:
    host.begin()
    run = "42-Thu-Nov-26-16-01-02-2026" if host.view.host.is_mac else "0123456789abcdef" * 2
    said = {"service": "running", "agent": "stable", "session": "s1", "run": run}
    assert json.loads(host.verb("status").stdout) == said
    assert host.verb("stop").returncode == 0
    said = {"service": "stopped", "agent": "silent", "session": "s1", "run": ""}
    assert json.loads(host.verb("status").stdout) == said
    assert host.verb("start").returncode == 0
    assert json.loads(host.verb("status").stdout)["service"] == "running"


def test_spent_asks_the_gateway_without_an_argument_that_tells(host: Host) -> None:
    assert "no session yet" in host.verb("spent").stderr
    host.begin()
    assert json.loads(host.verb("spent").stdout) == {"left": 3.5}
    assert f'header = "x-api-key: {TOKEN}"' in (host.path / "config").read_text()
    assert TOKEN not in host.log()


@pytest.mark.parametrize(
    "words",
    [
        *([], [""], ["bash"], ["new-session; reboot"], ["awake"], ["note"], ["status x"]),
        *(["patch"], ["patch a"], ["patch a b c"], ["backup"], ["backups x"], ["code take a b"]),
        ["take-code * $(reboot)"],
    ],
)
def test_nothing_else_can_be_called(host: Host, words: list[str]) -> None:
    run = host.verb(*words, says=f"s1\n{TOKEN}\n")
    assert run.returncode == 64
    assert run.stderr.startswith("usage: agentctl status")


# the orchestrator's backups


def test_a_backup_is_roots_and_comes_back_as_it_was(host: Host) -> None:
    assert host.verb("backups").stdout == ""
    assert host.verb("keep-backup b-1.age 9", says="all of it").returncode == 0
    file = host.path / "backups" / "b-1.age"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert host.verb("backups").stdout == "b-1.age\n"
    assert host.verb("backup b-1.age").stdout == "all of it"
    assert host.verb("backup b-2.age").returncode == 1


def test_the_latest_backups_stay(host: Host) -> None:
    for number in range(dispatch.KEPT_BACKUPS + 3):
        assert host.verb("keep-backup", f"b-{number:02}.age", "1", says="x").returncode == 0
    kept = host.verb("backups").stdout.split()
    assert len(kept) == dispatch.KEPT_BACKUPS
    assert kept[0] == "b-03.age"


@pytest.mark.parametrize("name", ["../x", ".part", "-f", "a/b", "B", "a" * 65])
def test_what_is_no_backup_is_not_kept(host: Host, name: str) -> None:
    run = host.verb("keep-backup", name, "1", says="x")
    assert run.returncode == 1
    assert not (host.path / "backups").exists()


@pytest.mark.parametrize(("size", "came"), [("5", ""), ("5", "hal"), ("2", "hal"), ("x", "x")])
def test_a_backup_that_was_cut_off_is_none(host: Host, size: str, came: str) -> None:
    assert host.verb("keep-backup b-1.age 5", says="whole").returncode == 0
    assert host.verb(f"keep-backup b-2.age {size}", says=came).returncode == 1
    assert host.verb("backups").stdout == "b-1.age\n"


# the launcher


def launch(host: Host, command: str) -> subprocess.CompletedProcess[str]:
    skeleton = host.path / "skeleton"
    for seed in agentapi._seeds(host.view):
        file = skeleton / Path(seed.path).relative_to(agentapi.skeleton(host.view))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(seed.content)
    (skeleton / ".gitconfig").write_text("[user]\n")
    script = host.script(agentapi._launcher(host.view))
    return subprocess.run(
        [*host.shell, str(script), "sh", "-c", command],
        env={"HOME": str(host.home), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )


def test_a_new_home_is_seeded(host: Host) -> None:
    (host.state / "token").write_text(f"{TOKEN}\n")
    run = launch(host, 'pwd; echo "$ANTHROPIC_AUTH_TOKEN"')
    assert run.stdout.split() == [str(host.home / "work"), TOKEN]
    seeded = json.loads((host.home / ".claude.json").read_text())
    assert seeded["hasCompletedOnboarding"] is True
    work = agentapi.work_dir(host.view)
    assert seeded["projects"] == {work: {"hasTrustDialogAccepted": True}}
    settings = json.loads((host.home / ".claude/settings.json").read_text())
    assert settings == {"skipDangerousModePermissionPrompt": True}
    assert (host.home / ".gitconfig").exists(), "what the host's owner put there"


def test_what_claude_code_wrote_stays(host: Host) -> None:
    launch(host, ":")
    file = host.home / ".claude.json"
    written = json.loads(file.read_text()) | {"numStartups": 3, "hasCompletedOnboarding": False}
    file.write_text(json.dumps(written))
    (host.home / ".gitconfig").unlink()
    launch(host, ":")
    after = json.loads(file.read_text())
    assert after == written | {"hasCompletedOnboarding": True}
    assert not (host.home / ".gitconfig").exists(), "only a new home gets the rest"


@pytest.mark.parametrize("broken", ["", "{", "null", "[1]", '{"projects": 3}'])
def test_a_file_that_was_cut_short_is_seeded_anew(host: Host, broken: str) -> None:
    launch(host, ":")
    file = host.home / ".claude.json"
    seeded = json.loads(file.read_text())
    file.write_text(broken)
    launch(host, ":")
    assert json.loads(file.read_text()) == seeded


def test_without_a_session_the_agent_starts_all_the_same(host: Host) -> None:
    assert launch(host, 'echo "$ANTHROPIC_AUTH_TOKEN"').stdout == "no-session\n"


# the gate


def gate(host: Host, event: str, user: str = "claude-agent") -> str:
    host._program("id", f"echo {user}")
    script = host.script(budget.program(host.view))
    run = subprocess.run(
        [*host.shell, str(script), event],
        env={"PATH": f"{host.path}/bin:/usr/bin:/bin", "ANTHROPIC_AUTH_TOKEN": TOKEN},
        input='{"hook_event_name": "X"}' * 10_000,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return run.stdout


def test_the_gate_says_what_the_gateway_says(host: Host) -> None:
    (host.path / "gate").write_text('{"continue":false,"stopReason":"spent"}')
    assert gate(host, "PreToolUse") == '{"continue":false,"stopReason":"spent"}\n'
    assert "/agentfleet/gate?event=PreToolUse" in host.log()
    assert TOKEN not in host.log()
    assert f'header = "x-api-key: {TOKEN}"' in (host.path / "config").read_text()


def test_the_gate_fails_closed(host: Host) -> None:
    for event in budget.EVENTS:
        said = json.loads(gate(host, event))
        stops = said.get("decision") == "block" or said.get("continue") is False
        assert stops, event
        assert "does not answer" in str(said)


def test_the_gate_concerns_nobody_but_the_agent(host: Host) -> None:
    assert gate(host, "PreToolUse", user="alice") == ""
    assert not (host.path / "log").exists()
