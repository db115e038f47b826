"""`fleet restart`: really restarted, really up, and no agent's work lost on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fleet import cli
from fleet.plan import view_of
from fleet.restart import at_stake
from fleet.target import load_target
from fleet.units import find
from tests import golden
from tests.unit.fleet.conftest import put

Capture = pytest.CaptureFixture[str]
AGENT = "agentfleet-agentapi.service"


@pytest.fixture(autouse=True)
def _environment(on_this_machine: Path, fleet_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    monkeypatch.setattr("fleet.target.artifacts_file", lambda: golden.PINS)
    put(on_this_machine, "sleep", "exit 0")
    put(on_this_machine, "journalctl", r"printf 'no such \033[31mlibrary\n'")


def systemctl(folder: Path, pid: str = "echo 7", installed: bool = True) -> Path:
    """A systemctl that notes what it is told; `pid` prints the process it has now."""
    calls = folder / "calls"
    put(
        folder,
        "systemctl",
        f"""echo "$*" >>{calls}
case "$*" in
    cat*) {"exit 0" if installed else "exit 1"} ;;
    *MainPID*) {pid} ;;
esac""",
    )
    return calls


def agent(folder: Path, status: str) -> None:
    """What AgentAPI answers on its port."""
    put(folder, "curl", f"""echo '{{"status":"{status}"}}'""")


def test_a_service_that_runs_anew(on_this_machine: Path, capsys: Capture) -> None:
    calls = systemctl(on_this_machine)
    assert cli.main(["restart", "berry", "iceccd", "--yes"]) == 0
    assert capsys.readouterr() == ("berry: iceccd runs anew\n", "")
    assert "restart agentfleet-iceccd.service" in calls.read_text().splitlines()


@pytest.mark.parametrize(
    "pid",
    [
        "date +%N",  # never the same
        'n=$(cat pids 2>/dev/null || echo 0); echo $((n + 1)) >pids; [ "$n" -lt 3 ] && echo 7',
    ],
)
def test_a_service_that_does_not_stay_up(pid: str, on_this_machine: Path, capsys: Capture) -> None:
    """Gone at once, or after it had seemed to be there."""
    systemctl(on_this_machine, pid)
    assert cli.main(["restart", "berry", "iceccd", "--yes"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("no such library\nagentfleet: agentfleet-iceccd.service does not stay up")
    assert err.endswith("berry: iceccd does not run\n")


def test_an_agent_at_work_is_left_alone(on_this_machine: Path, capsys: Capture) -> None:
    calls = systemctl(on_this_machine)
    agent(on_this_machine, "running")
    for unit in ("agentapi", "wall"):  # the agent stops when the wall that it is behind does
        assert cli.main(["restart", "berry", unit, "--yes"]) == 2
        assert "agentapi is at work: not restarted; --now" in capsys.readouterr().err
    assert "restart" not in calls.read_text()
    assert cli.main(["restart", "berry", "agentapi", "--yes", "--now"]) == 0
    assert f"restart {AGENT}" in calls.read_text()


def test_an_idle_agent_is_restarted(on_this_machine: Path) -> None:
    calls = systemctl(on_this_machine)
    agent(on_this_machine, "stable")
    assert cli.main(["restart", "berry", "agentapi", "--yes"]) == 0
    assert f"restart {AGENT}" in calls.read_text()


def test_whose_work_is_at_stake() -> None:
    target = load_target()
    view = view_of(target, "berry")
    for unit, names in (("agentapi", [AGENT]), ("wall", [AGENT]), ("iceccd", [])):
        assert [one.name for one in at_stake(view, find(target, "berry", unit))] == names


MAC = """echo "$*" >>{folder}/calls
case "$1" in
    print) [ -e {folder}/in ] || exit 113; printf '\\tpid = 7\\n' ;;
    bootout) rm -f {folder}/in ;;
    bootstrap) : >{folder}/in ;;
esac"""


def test_a_mac(
    on_this_machine: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(on_this_machine, "launchctl", MAC.format(folder=on_this_machine))
    assert cli.main(["restart", "mac", "wall", "--yes", "--now"]) == 1
    assert "org.agentfleet.wall is not on this host yet" in capsys.readouterr().err
    (tmp_path / "org.agentfleet.wall.plist").touch()
    monkeypatch.setattr("fleet.restart.PLISTS", str(tmp_path))
    assert cli.main(["restart", "mac", "wall", "--yes", "--now"]) == 0
    assert capsys.readouterr().out == "mac: wall runs anew\n"
    calls = (on_this_machine / "calls").read_text().splitlines()
    assert calls.index("bootout system/org.agentfleet.wall") < len(calls) - 1


def test_one_that_is_not_installed(on_this_machine: Path, capsys: Capture) -> None:
    systemctl(on_this_machine, installed=False)
    assert cli.main(["restart", "berry", "iceccd", "--yes"]) == 1
    assert "is not on this host yet: fleet apply --limit berry" in capsys.readouterr().err


def test_one_that_is_off(fleet_file: Path, capsys: Capture) -> None:
    text = fleet_file.read_text()
    off = "cores: 4, agent: {enabled: false}, addresses: {lan: 10.0.0.3}"
    fleet_file.write_text(text.replace("cores: 4, addresses: {lan: 10.0.0.3}", off))
    assert cli.main(["restart", "berry", "agentapi", "--yes"]) == 1
    assert "fleet.yaml says that agentapi is off here" in capsys.readouterr().err


def test_nobody_to_ask(capsys: Capture, on_this_machine: Path) -> None:
    assert cli.main(["restart", "berry", "iceccd"]) == 64
    assert capsys.readouterr().err.endswith("say --yes\n")
    assert not (on_this_machine / "asked").exists()


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 130)])
def test_somebody_to_ask(
    answer: str, code: int, on_this_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl(on_this_machine)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda *_, **__: answer == "y")
    assert cli.main(["restart", "berry", "iceccd"]) == code
    assert (on_this_machine / "asked").exists() is (code == 0)


def test_for_programs(on_this_machine: Path, capsys: Capture) -> None:
    systemctl(on_this_machine)
    assert cli.main(["restart", "berry", "iceccd", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "host": "berry",
        "unit": "iceccd",
        "outcome": "restarted",
        "said": "",
    }
