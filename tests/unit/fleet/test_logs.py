"""`fleet logs`: any service by its short name, on either kind of host, harmless, while it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet import cli, logs
from fleet.terminal import harmless
from tests.unit.fleet.conftest import put

ROOT = Path(__file__).resolve().parents[3]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _environment(on_this_machine: Path, fleet_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))


@pytest.fixture
def journal(on_this_machine: Path) -> Path:
    """A journalctl that notes what it is asked, and says two lines."""
    said = on_this_machine / "journal"
    put(on_this_machine, "journalctl", f'echo "$*" >>{said}\necho one\necho two')
    return said


@pytest.fixture
def mac_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "wall.log"
    monkeypatch.setattr(logs, "log_file", lambda view, name: str(tmp_path / f"{name}.log"))
    return path


def test_the_last_lines_of_a_unit(journal: Path, capsys: Capture) -> None:
    assert cli.main(["logs", "berry", "iceccd"]) == 0
    assert capsys.readouterr() == ("one\ntwo\n", "")
    asked = journal.read_text().split()
    assert "--unit=agentfleet-iceccd.service" in asked
    assert "--lines=100" in asked


def test_since_when_and_how_much(journal: Path) -> None:
    assert cli.main(["logs", "berry", "wall", "--since", "1 hour ago; rm x", "-n", "5"]) == 0
    assert "--lines=5 --since=1 hour ago; rm x" in journal.read_text(), "one word for journalctl"
    journal.unlink()
    assert cli.main(["logs", "berry", "wall", "--since", "yesterday"]) == 0
    assert "--lines" not in journal.read_text()


def test_what_a_timer_starts_speaks(
    journal: Path, fleet_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fleet import units
    from fleet.resources import RunningService

    timer = {"backup": RunningService("agentfleet-backup.timer")}
    monkeypatch.setattr(units, "units", lambda view: timer)
    assert cli.main(["logs", "boss", "backup"]) == 0
    assert "--unit=agentfleet-backup.service" in journal.read_text()


def test_a_mac_has_files(mac_log: Path, capsys: Capture) -> None:
    mac_log.write_text("".join(f"line {number}\n" for number in range(1, 6)))
    assert cli.main(["logs", "mac", "org.agentfleet.wall", "-n", "2"]) == 0
    assert capsys.readouterr().out == "line 4\nline 5\n"


def test_what_a_mac_has_rotated_away(mac_log: Path, capsys: Capture) -> None:
    mac_log.write_text("old 1\nold 2\n")
    subprocess.run(["gzip", mac_log], check=True)
    mac_log.with_name("wall.log.gz").rename(mac_log.with_name("wall.log.0.gz"))
    mac_log.write_text("new\n")
    assert cli.main(["logs", "mac", "wall", "-n", "2"]) == 0
    assert capsys.readouterr().out == "old 2\nnew\n"


def test_a_log_that_is_not_there_yet(mac_log: Path, capsys: Capture) -> None:
    assert cli.main(["logs", "mac", "wall"]) == 0
    assert capsys.readouterr() == ("", "mac: wall has logged nothing\n")


def test_a_macs_lines_have_no_time(capsys: Capture) -> None:
    assert cli.main(["logs", "mac", "wall", "--since", "today"]) == 64
    assert "do not say when" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("icecc", 'did you mean "iceccd"? known: tailscaled, wall, iceccd'),
        ("gateway", "berry: fleet.yaml gives it no gateway\n    it has: "),
        ("gateway", "gateway is on: boss"),
        ("\x1b[31m", "no service here is called"),
    ],
)
def test_a_service_that_is_not_there(unit: str, said: str, capsys: Capture) -> None:
    assert cli.main(["logs", "berry", unit]) == 1
    err = capsys.readouterr().err
    assert said in err.replace("systemd-timesyncd, ", "")
    assert "\x1b" not in err


def test_a_hostile_log(on_this_machine: Path, capsys: Capture) -> None:
    put(on_this_machine, "journalctl", r"printf '\033[2J\033]0;t\007a\tb\r\n[red]c\202\n'")
    assert cli.main(["logs", "berry", "wall"]) == 0
    assert capsys.readouterr().out == "a\tb\n[red]c�\n"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("a\x9bb\x07c\x00d\x7f", "abcd"),
        ("\x1b]52;c;aGk=\x07copied", "copied"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("safe\u202etxt", "safetxt"),
        ("ends in \x1b", "ends in "),
        ("ümlaut ✓ 中\ttab\n", "ümlaut ✓ 中\ttab\n"),
    ],
)
def test_harmless(text: str, left: str) -> None:
    assert harmless(text) == left


def test_a_long_line_comes_in_pieces(
    on_this_machine: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line without an end would otherwise be collected until the memory is full."""
    put(on_this_machine, "journalctl", "head -c 300001 /dev/zero | tr '\\0' ü")
    pieces: list[int] = []

    def measure(text: str) -> str:
        pieces.append(len(text))
        return text

    monkeypatch.setattr("fleet.commands.logs.harmless", measure)
    assert cli.main(["logs", "berry", "wall"]) == 0
    assert max(pieces) <= 1 << 16
    assert len(pieces) > 4


def test_ctrl_c_ends_what_runs_on_the_host(on_this_machine: Path) -> None:
    """The host's process reads standard input to notice; nothing else would tell it."""
    put(
        on_this_machine,
        "journalctl",
        f"echo $$ >{on_this_machine}/pid\necho first\nexec sleep 60",
    )
    run = subprocess.Popen(
        [sys.executable, "-m", "fleet", "logs", "berry", "wall", "-f"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert run.stdout
    assert run.stdout.readline() == b"first\n", "while the follower still runs"
    run.send_signal(signal.SIGINT)
    assert run.wait(20) == 130
    run.stdout.close()
    pid = int((on_this_machine / "pid").read_text())
    until = time.monotonic() + 10
    while time.monotonic() < until and Path(f"/proc/{pid}/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("power", "code", "said"),
    [("sleeps", 3, "fleet wake berry"), ("always-on", 1, "berry: cannot be reached: ")],
)
def test_a_host_that_is_off(
    power: str, code: int, said: str, on_this_machine: Path, fleet_file: Path, capsys: Capture
) -> None:
    text = fleet_file.read_text().replace("role: pi,", f"role: pi, power: {power},")
    fleet_file.write_text(text)
    put(on_this_machine, "ssh", "echo 'ssh: connect to host: No route to host' >&2; exit 255")
    assert cli.main(["logs", "berry", "wall"]) == code
    assert said in capsys.readouterr().err


def test_what_journalctl_complains_about(on_this_machine: Path, capsys: Capture) -> None:
    put(on_this_machine, "journalctl", "echo 'Failed to parse timestamp: x' >&2; exit 1")
    assert cli.main(["logs", "berry", "wall", "--since", "x"]) == 1
    assert capsys.readouterr().err == "berry: Failed to parse timestamp: x\n"
