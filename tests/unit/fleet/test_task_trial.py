"""The item `task` of `fleet check --deep`: who is asked, what is believed, what is left behind."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet import cli, orchestrator, tasktrial
from fleet.commands import check as command
from fleet.lock import ArtifactsLock
from fleet.problems import FleetError
from fleet.ssh import Answer
from fleet.target import ROOT, Target
from fleet.tasktrial import task_items
from lab.anthropic.replies import reply
from orchestrator.health.model import Item, Outside, Verdict
from tests.unit.fleet.compilers import equipped

ESC = "\x1b]0;evil\x07"
IDLE = "idle, always on"


class Page:
    """An orchestrator with agents, and the disk of the one that is given a task."""

    def __init__(self, work: Path) -> None:
        self.verdicts = dict.fromkeys(("boss", "mac", "berry", "win"), IDLE)
        self.work, self.obeys = work, True
        self.ends: dict[str, Any] = {"state": "done", "cost": 42_000}
        self.draft: dict[str, Any] = {}
        self.asked: list[str] = []
        self.looked: list[str] = []
        self.refuses = ""

    def api(self, target: Target, method: str, path: str, body: bytes = b"") -> Any:
        self.asked.append(f"{method} {path}")
        if path.endswith("/choose"):
            wish = json.loads(body)["wish"].get("host", "")
            verdicts = [
                {"host": name, "fits": said == IDLE and wish in ("", name), "reason": said}
                for name, said in self.verdicts.items()
            ]
            return {"host": "", "why": f"waits: nobody is idle{ESC}", "verdicts": verdicts}
        if path.endswith("/tasks"):
            if self.refuses:
                raise FleetError.of("boss", self.refuses, "")
            self.draft = json.loads(body)
            return {"id": 7, "state": "queued"}
        return {"id": 7, "state": "cancelled"}

    def follow(self, target: Target, number: int, heard: Any, limit_s: float) -> None:
        heard({})
        heard({"task": {"id": number, "state": "running"}})
        if self.ends["state"] == "interrupted":
            raise KeyboardInterrupt
        if self.ends["state"] == "running":
            raise FleetError.of("boss", f"no answer within {limit_s:g} s", "")
        if self.obeys:
            first = self.draft["prompt"].partition("\n\n")[0].removeprefix("Run ")
            subprocess.run(["sh", "-c", first], cwd=self.work, check=True)
        heard({"task": {"id": number, **self.ends}})

    def as_root(self, name: str, script: str, timeout_s: float) -> Answer:
        self.looked.append(name)
        here = script.replace("sudo -n -u claude-agent --", "").replace(self.there, str(self.work))
        done = subprocess.run(["sh", "-s"], input=here, capture_output=True, text=True, check=False)
        return Answer(done.returncode, done.stdout, done.stderr)

    there = "/var/lib/claude-agent/work"


@pytest.fixture
def target(fleet_file: Path) -> Target:
    return Target("real", equipped(fleet_file), None, ArtifactsLock(), ROOT)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    work = tmp_path / "work"
    work.mkdir()
    found = Page(work)
    monkeypatch.setattr(orchestrator, "api", found.api)
    monkeypatch.setattr(orchestrator, "follow", found.follow)
    monkeypatch.setattr(tasktrial, "as_root", found.as_root)
    monkeypatch.setattr(tasktrial, "route", lambda host, _: host.name)
    return found


def item(target: Target, *hosts: str, outside: Outside | None = None) -> Item:
    (found,) = task_items(target, hosts, outside or Outside())
    assert found.evidence.isprintable()
    return found


def test_a_task_is_sent_done_and_seen_on_its_host(page: Page, target: Target) -> None:
    found = item(target, "berry")
    assert (found.name, found.verdict) == ("task@berry", Verdict.OK)
    assert found.evidence == "berry wrote what task 7 gave it, in 0 s, for $0.05"
    assert page.draft["wish"] == {"host": "berry", "failover": False}
    assert page.draft["cap"] == tasktrial.CAP
    assert page.looked == ["berry"]
    assert not list(page.work.iterdir()), "nothing is left there"


def test_rather_a_host_that_is_not_the_orchestrator(page: Page, target: Target) -> None:
    page.verdicts["mac"] = "works on task 3"
    assert item(target).host == "berry"
    page.verdicts |= dict.fromkeys(("berry", "win"), "sleeps")
    assert item(target).host == "boss"


def test_nobody_is_free(page: Page, target: Target) -> None:
    page.verdicts = dict.fromkeys(page.verdicts, "has spent its money")
    found = item(target)
    assert (found.name, found.verdict) == ("task", Verdict.UNKNOWN)
    assert "nobody is idle" in found.evidence
    assert page.asked == ["POST /api/v1/choose"], "nothing was sent"


def test_an_agent_that_only_says_so(page: Page, target: Target) -> None:
    page.obeys = False
    found = item(target, "berry")
    assert found.verdict is Verdict.FAILED
    assert "is done, and " in found.evidence
    assert "is not there" in found.evidence
    assert found.advice == "fleet task show 7"


def test_a_task_that_fails(page: Page, target: Target) -> None:
    page.ends = {"state": "failed", "reason": f"API Error{ESC}"}
    found = item(target, "berry")
    assert found.verdict is Verdict.FAILED
    assert "task 7 is failed: API Error" in found.evidence
    assert page.looked == []


def test_a_task_that_does_not_end_is_cancelled(page: Page, target: Target) -> None:
    page.ends = {"state": "running"}
    found = item(target, "berry")
    assert found.verdict is Verdict.FAILED
    assert "no answer within 300 s" in found.evidence
    assert page.asked[-1] == "POST /api/v1/tasks/7/cancel"


def test_ctrl_c_cancels_it(page: Page, target: Target) -> None:
    page.ends = {"state": "interrupted"}
    with pytest.raises(KeyboardInterrupt):
        item(target, "berry")
    assert page.asked[-1] == "POST /api/v1/tasks/7/cancel"


def test_a_task_that_is_refused(page: Page, target: Target) -> None:
    page.refuses = f"the fleet has spent its money{ESC}"
    found = item(target, "berry")
    assert found.verdict is Verdict.UNKNOWN
    assert "the fleet has spent its money" in found.evidence


@pytest.mark.parametrize(
    ("outside", "words"),
    [(Outside(fault="off"), "see orchestrator"), (Outside(page_fault="down"), "see page")],
)
def test_what_another_item_says_already(
    page: Page, target: Target, outside: Outside, words: str
) -> None:
    assert item(target, outside=outside).evidence == words
    assert page.asked == []


def test_a_page_that_talks_nonsense(
    page: Page, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orchestrator, "api", lambda *_: ["nonsense"])
    assert item(target).verdict is Verdict.UNKNOWN


def test_the_agents_of_the_lab_obey_it() -> None:
    prompt = tasktrial.PROMPT.format(word="abc", file="fleet-check-abc")
    asked = {"messages": [{"role": "user", "content": prompt}], "tools": [{"name": "Bash"}]}
    assert reply(asked).said["command"] == "echo abc >fleet-check-abc"


@pytest.mark.parametrize(
    ("words", "hosts"),
    [
        ((), ()),
        (("task",), ()),
        (("task@berry", "disk"), ("berry",)),
        (("disk", "berry"), None),
    ],
)
def test_who_is_meant(words: tuple[str, ...], hosts: tuple[str, ...] | None) -> None:
    assert tasktrial.wanted(words) == hosts


def test_money_is_spent_only_where_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Callable[..., Any]] = []
    monkeypatch.setattr(command, "ask_all", lambda *_, **__: asked.append)
    assert cli.main(["check", "--only", "task@berry"]) == 64
    assert "--deep" in capsys.readouterr().err
    assert asked == []
