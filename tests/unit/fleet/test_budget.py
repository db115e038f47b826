"""`fleet budget`, `kill`, `new-session`: what is asked of the orchestrator, how it is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from fleet import cli, orchestrator
from fleet.problems import FleetError
from fleet.ssh import Answer
from fleet.target import load_target

Capture = pytest.CaptureFixture[str]
HOST = {
    "host": "berry",
    "session": "s-1",
    "spent": 4.2,
    "reserved": 0,
    "cap": 5,
    "left": 0.8,
    "day": {"spent": 4.2, "cap": None},
    "fleet": {"spent": 4.2, "cap": 100},
    "warn": False,
    "reason": "",
}


def report(**differing: Any) -> dict[str, Any]:
    days = [
        {"day": "2026-11-26", "spent": 4.2, "hosts": []},
        {"day": "2026-11-25", "spent": 7.5, "hosts": []},
    ]
    return {"fleet": {"spent": 4.2, "cap": 100}, "hosts": [HOST | differing], "days": days}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, fleet_file: Any) -> Callable[[Any], list[Any]]:
    """Lets the orchestrator answer; what it was asked."""
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    seen: list[Any] = []

    def answer(what: Any) -> list[Any]:
        def ask(target: Any, *arguments: str, timeout_s: float = 0) -> Any:
            seen.append(arguments)
            if isinstance(what, Exception):
                raise what
            return what

        monkeypatch.setattr(orchestrator, "ask", ask)
        return seen

    return answer


@pytest.mark.parametrize(
    ("differing", "code", "words"),
    [
        ({}, 0, ""),
        ({"warn": True}, 2, "nearly spent"),
        ({"reason": "budget: this session has spent $5.03"}, 2, "this session has spent $5.03"),
    ],
)
def test_what_agents_have_spent(
    asked: Any, capsys: Capture, differing: dict[str, Any], code: int, words: str
) -> None:
    seen = asked(report(**differing))
    assert cli.main(["budget", "--days", "2"]) == code
    assert seen == [("budget", "--days", "2")]
    out = capsys.readouterr().out
    assert "berry" in out
    assert "$4.20" in out
    assert "no limit" in out
    assert words in out
    assert "today, all together: $4.20 of $100.00" in out
    assert "2026-11-25: $7.50" in out
    assert cli.main(["budget", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == report(**differing)


def test_an_orchestrator_that_is_off_is_an_error(asked: Any, capsys: Capture) -> None:
    asked(FleetError.of("boss", "cannot be reached: timed out", "see that it is up"))
    assert cli.main(["budget"]) == 1
    assert "boss: cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["berry"], ("kill", "berry")),
        (["berry", "berry"], ("kill", "berry")),
        (["--all"], ("kill", "--all")),
    ],
)
def test_whom_kill_means(asked: Any, capsys: Capture, words: list[str], arguments: Any) -> None:
    seen = asked({"revoked": [{"host": "berry", "session": "s-1"}]})
    assert cli.main(["kill", *words]) == 0
    assert seen == [arguments]
    assert capsys.readouterr().out == "berry: session s-1 revoked\n"


@pytest.mark.parametrize("verb", ["kill", "new-session"])
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 64, "name hosts, or say --all"),
        (["berry", "--all"], 64, "name hosts, or say --all"),
        (["bery"], 1, 'did you mean "berry"'),
        (["win"], 1, "no agent runs on win"),
    ],
)
def test_whom_they_cannot_mean(
    asked: Any, capsys: Capture, verb: str, words: list[str], code: int, said: str
) -> None:
    seen = asked({"revoked": []})
    assert cli.main([verb, *words]) == code
    assert said in capsys.readouterr().err
    assert seen == []


def test_a_new_session_for_each_and_one_that_fails_is_told(asked: Any, capsys: Capture) -> None:
    seen = asked({"begun": {}, "failed": {}})
    assert cli.main(["new-session", "--all"]) == 0
    assert [one[:2] for one in seen] == [("session", "new")] * 3
    assert capsys.readouterr().out == "boss: begun\nmac: begun\nberry: begun\n"
    asked(FleetError.of("boss", "berry: agentctl: it is off", "turn it on"))
    assert cli.main(["new-session", "berry", "--json"]) == 1
    (told,) = json.loads(capsys.readouterr().out)["hosts"]
    assert told["host"] == "berry"
    assert "agentctl: it is off" in told["fault"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(255, "", "timed out"), "cannot be reached: timed out"),
        (Answer(1, "", "the gateway does not answer"), "the gateway does not answer"),
        (Answer(127, "", ""), "ended with 127"),
        (Answer(0, "no json", ""), "ended with 0"),
    ],
)
def test_what_the_orchestrator_may_say(
    fleet_file: Any, monkeypatch: pytest.MonkeyPatch, answer: Answer, words: str
) -> None:
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    monkeypatch.setattr(orchestrator, "as_root", lambda *_: answer)
    monkeypatch.setattr(orchestrator, "route", lambda *_: None)
    with pytest.raises(FleetError, match=words):
        orchestrator.ask(load_target(), "budget")
    assert words in orchestrator.begin_session(load_target(), "berry")


def test_the_orchestrator_is_asked_as_its_service(
    fleet_file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_FILE", str(fleet_file))
    said = []

    def as_root(way: Any, script: str, timeout_s: float) -> Answer:
        said.append(script)
        return Answer(0, '{"a": 1}', "")

    monkeypatch.setattr(orchestrator, "as_root", as_root)
    monkeypatch.setattr(orchestrator, "route", lambda *_: None)
    assert orchestrator.ask(load_target(), "kill", "--all") == {"a": 1}
    (script,) = said
    assert "exec sudo -n -u agentfleet-orchestrator -- /usr/bin/python3 -IB " in script
    assert script.endswith("orchestrator.pyz kill --config /etc/agentfleet/gateway.json --all\n")
