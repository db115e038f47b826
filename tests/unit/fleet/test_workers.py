"""`fleet workers`: what scheduler and quarantine say, put together; letting one in again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from fleet import cli, cluster, orchestrator
from fleet.cluster import Node
from fleet.model import Fleet, load_fleet
from fleet.problems import FleetError
from fleet.ssh import Answer
from fleet.target import load_target
from fleet.toolchains import is_worker

Capture = pytest.CaptureFixture[str]
BOSS = Node("boss", "100.64.0.1", 10245, "x86_64", 1, 8)
BERRY = Node("berry", "100.64.0.3", 10245, "aarch64", 0, 4)
MAC = Node("mac", "100.64.0.2", 0, "x86_64", 0, 4)
REPORT = {
    "by": "boss",
    "at": "2026-11-26T06:40:00Z",
    "compiler": "clang",
    "source": "x.c",
    "detail": "byte 40: 7 is 8",
}


def block(**differing: Any) -> dict[str, Any]:
    found = {"worker": "berry", "since": REPORT["at"], "by": "boss", "taken": True, "count": 3}
    return found | {"reports": [REPORT, REPORT]} | differing


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, fleet_file: Path) -> Callable[..., list[Any]]:
    """What scheduler and orchestrator say; what the orchestrator was asked."""
    text = fleet_file.read_text()
    for number in (1, 2, 3):  # boss, mac, berry
        lan = f"{{lan: 10.0.0.{number}}}"
        text = text.replace(lan, f"{{lan: 10.0.0.{number}, tailnet: 100.64.0.{number}}}")
    fleet_file.write_text(text)
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    seen: list[Any] = []

    def say(nodes: Any = (BOSS, BERRY, MAC), blocked: Any = (), done: Any = None) -> list[Any]:
        def list_nodes(target: Any) -> Any:
            if isinstance(nodes, Exception):
                raise nodes
            return nodes

        def ask(target: Any, *arguments: str, timeout_s: float = 0) -> Any:
            seen.append(arguments)
            if isinstance(blocked, Exception):
                raise blocked
            return {"blocked": list(blocked), "fault": ""} if arguments == ("blocked",) else done

        monkeypatch.setattr(cluster, "nodes", list_nodes)
        monkeypatch.setattr(orchestrator, "ask", ask)
        return seen

    return say


def rows(capsys: Capture) -> dict[str, str]:
    lines = capsys.readouterr().out.splitlines()[1:]
    return {line.split()[0]: line for line in lines if line}


def test_who_compiles(said: Any, capsys: Capture) -> None:
    said()
    assert cli.main(["workers"]) == 0
    found = rows(capsys)
    assert set(found) == {"boss", "berry"}, "a Mac that sends jobs is no worker"
    assert found["boss"].split() == ["boss", "100.64.0.1", "x86_64", "1/8", "takes", "jobs"]


@pytest.mark.parametrize("nodes", [(BOSS,), (BOSS, BERRY)])
def test_who_is_blocked_and_why(said: Any, capsys: Capture, nodes: Any) -> None:
    said(nodes, [block()])
    assert cli.main(["workers"]) == 2
    found = rows(capsys)
    assert "blocked" in found["berry"]
    assert "boss reported a wrong object on 2026-11-26T06:40:00Z" in found["berry"]
    assert "clang x.c; byte 40: 7 is 8; 2 more reports" in found["berry"]
    assert "not taken" not in found["berry"]
    assert "takes jobs" in found["boss"]
    assert cli.main(["workers", "--json"]) == 2
    by_name = {one["name"]: one for one in json.loads(capsys.readouterr().out)["workers"]}
    assert by_name["berry"]["blocked"] == block()
    assert by_name["boss"]["blocked"] is None


def test_what_the_scheduler_has_not_taken_is_said(said: Any, capsys: Capture) -> None:
    said((BOSS,), [block(taken=False, count=2)])
    assert cli.main(["workers"]) == 2
    assert "1 more report; the scheduler has not taken it yet" in rows(capsys)["berry"]


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (Node("intruder", "100.64.0.9", 10245, "x86_64", 0, 8), "is not in fleet.yaml"),
        (Node("berry", "100.64.0.9", 10245, "x86_64", 0, 8), "is not at 100.64.0.9"),
        (Node("[red]e\x1b[2J", "100.64.0.9", 10245, "x86_64", 0, 8), "is not in fleet.yaml"),
    ],
)
def test_a_stranger_is_told_from_the_fleets(
    said: Any, capsys: Capture, node: Node, why: str
) -> None:
    said((BOSS, node))
    assert cli.main(["workers"]) == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if "stranger" in line]
    assert why in line
    assert line.startswith(node.name.replace("\x1b", "?"))


def test_half_of_it_is_shown_when_the_other_half_cannot_be_had(said: Any, capsys: Capture) -> None:
    said(ConnectionError("boss: timed out"), [block()])
    assert cli.main(["workers"]) == 1
    out = capsys.readouterr().out
    assert "boss: timed out" in out
    assert "boss reported a wrong object" in out
    said((BOSS,), FleetError.of("boss", "the quarantine does not answer", "see why"))
    assert cli.main(["workers", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found["workers"]] == ["boss"]
    assert "the quarantine does not answer" in found["faults"][0]


# letting in again


def test_letting_in_asks_first(said: Any, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    done = {"unblocked": "berry", "taken": True, "fault": ""}
    seen = said((), [block()], done)
    assert cli.main(["workers", "--unblock", "berry"]) == 64
    assert "say --yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    answers = iter([False, True])

    def confirm(text: str, **_: Any) -> bool:
        assert text == "Let berry compile for others again?"
        if not next(answers):
            raise click.Abort
        return True

    monkeypatch.setattr(click, "confirm", confirm)
    assert cli.main(["workers", "--unblock", "berry"]) == 130
    assert ("unblock", "berry") not in seen
    assert cli.main(["workers", "--unblock", "berry"]) == 0
    assert seen[-1] == ("unblock", "berry")
    captured = capsys.readouterr()
    assert captured.err.count("boss reported a wrong object") == 2
    assert captured.out == "berry: may compile for others again\n"


def test_letting_in_without_asking(said: Any, capsys: Capture) -> None:
    fault = "the scheduler does not answer: refused"
    done = {"unblocked": "berry", "taken": False, "fault": fault}
    seen = said(done=done)
    assert cli.main(["workers", "--unblock", "berry", "--yes"]) == 0
    assert seen == [("unblock", "berry")]
    assert f"as soon as the scheduler has heard of it ({fault})" in capsys.readouterr().out
    assert cli.main(["workers", "--unblock", "berry", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == done
    assert cli.main(["workers", "--yes"]) == 64


def test_the_quarantine_is_asked_with_its_own_configuration(
    said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = []

    def as_root(way: Any, script: str, timeout_s: float) -> Answer:
        scripts.append(script)
        return Answer(0, '{"blocked": []}', "")

    said()
    monkeypatch.undo()
    monkeypatch.setenv("FLEET_FILE", "fleet.yaml")
    monkeypatch.setattr(orchestrator, "as_root", as_root)
    monkeypatch.setattr(orchestrator, "route", lambda *_: None)
    target = load_target()
    assert orchestrator.blocked(target) == ()
    orchestrator.ask(target, "unblock", "a host; rm")
    config = "--config /etc/agentfleet/quarantine.json"
    assert scripts[0].endswith(f"orchestrator.pyz blocked {config}\n")
    assert scripts[1].endswith(f"orchestrator.pyz unblock {config} 'a host; rm'\n")


# who can be blocked


def test_workers_are_those_that_take_jobs(fleet_file: Path) -> None:
    def found() -> list[str]:
        fleet: Fleet = load_fleet(fleet_file)
        return [host.name for host in fleet.hosts if is_worker(host)]

    assert found() == ["boss", "berry", "win"]
    text = fleet_file.read_text()
    fleet_file.write_text(text.replace("role: pi,", "role: pi, without: [icecream],"))
    assert found() == ["boss", "win"]
