"""`fleet remove` and `fleet replace`: who may go, what is asked, and that no trace is left."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet import cli, leaving
from fleet.apply import Applied, Ending, Result
from fleet.commands import remove
from fleet.difference import HostOutcome, Outcome
from fleet.hostkeys import known_hosts
from fleet.leaving import Leaving, drain, refuse_pillar
from fleet.lock import lock_path, read_fleet_lock
from fleet.model import load_fleet
from fleet.plan import view_of, wanted
from fleet.planned import HostPlan, Planned, Step
from fleet.problems import FleetError
from fleet.target import Target, load_target
from tests.golden import FLEET, target

Capture = pytest.CaptureFixture[str]
LEAVERS = ("imac", "macbook2", "rpi2", "windows-desktop")


class Page:
    """The orchestrator's page, as far as it is asked here."""

    def __init__(self) -> None:
        self.agents = ["imac", "rpi2", "windows-desktop"]
        self.tasks: dict[int, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.fault = ""
        self.blocked = ["rpi2"]
        self.then: Callable[[], None] = lambda: None  # after each look at tasks

    def api(self, target: Target, method: str, path: str, body: bytes = b"") -> Any:
        if self.fault:
            raise FleetError.of("boss", self.fault, "")
        short = path.removeprefix("/api/v1/")
        self.asked.append(f"{method} {short}" if method == "POST" else short.partition("?")[0])
        if short == "agents":
            return {"agents": [{"host": {"name": name}} for name in self.agents]}
        if short.startswith("tasks?"):
            states = [one[6:] for one in short.split("&") if one.startswith("state=")]
            found = [one for one in self.tasks.values() if one["state"] in states]
            self.then()
            return {"tasks": found}
        if short.endswith("/give-up"):
            had = [one for one in self.tasks.values() if one["host"] == short.split("/")[1]]
            for one in had:
                one["state"] = "lost"
            return {"tasks": [one["id"] for one in had]}
        if short.startswith("tasks/") and method == "GET":
            return self.tasks[int(short.split("/")[1])]
        return {}

    def runs(self, number: int, host: str, state: str = "running") -> None:
        self.tasks[number] = {"id": number, "host": host, "state": state}


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    found = Page()
    monkeypatch.setattr("fleet.orchestrator.api", found.api)
    monkeypatch.setattr(
        "fleet.orchestrator.blocked", lambda _: tuple({"worker": one} for one in found.blocked)
    )
    monkeypatch.setattr(
        "fleet.orchestrator.ask", lambda _, *words: found.asked.append(" ".join(words))
    )
    monkeypatch.setattr(leaving, "PAUSE_S", 0.0)
    return found


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The golden fleet in a directory of its own."""
    path = tmp_path / "fleet.yaml"
    shutil.copy(FLEET, path)
    shutil.copy(lock_path(FLEET), lock_path(path))
    monkeypatch.setenv("FLEET_FILE", str(path))
    monkeypatch.setenv("FLEET_TARGET", "real")
    monkeypatch.setenv("AGENTFLEET_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("AGENTFLEET_CACHE", str(tmp_path / "cache"))
    return path


# who may leave, and what is known of it elsewhere


@pytest.mark.parametrize("name", LEAVERS)
def test_no_file_of_another_host_knows_who_has_left(name: str) -> None:
    """Nor any file that does not know it is brought anew."""
    before = target()
    gone = before.fleet.host(name)
    traces = Leaving(gone).traces(before)
    left = tuple(one for one in before.fleet.hosts if one != gone)
    after = replace(before, fleet=before.fleet.model_copy(update={"hosts": left}))
    places = gone.addresses
    known = (name, places.tailnet, places.tailnet6, places.lan)
    trace = re.compile("|".join(rf"(?<![\w.:]){re.escape(one)}(?![\w.:])" for one in known if one))
    assert trace.search(f'"{places.tailnet}"')
    for host in left:
        was = {f for want in wanted(view_of(before, host.name)).values() for f in want.files}
        for want in wanted(view_of(after, host.name)).values():
            for file in want.files:
                said = file.content.decode("utf-8", "replace")
                assert not trace.search(said), f"{host.name} {file.path}"
        brought = {f for files in traces.get(host.name, {}).values() for f in files}
        assert not brought & was
    boss = traces[before.fleet.orchestrator.name]
    assert {"orchestrator", "firewall"} <= set(boss)
    assert name not in traces


def test_who_is_needed_stays() -> None:
    found = target()
    fleet = found.fleet.model_copy(update={"scheduler": "rpi2"})
    it = replace(found, fleet=fleet)
    relay = next(iter(fleet.relays.values()))
    for name, fault in (
        (fleet.orchestrator.name, "is the orchestrator"),
        ("rpi2", "hands out the compile jobs"),
        ("rpi1", "keeps the orchestrator's backups"),
        (relay, "is its site's relay"),
    ):
        with pytest.raises(FleetError, match=fault) as caught:
            refuse_pillar(it, fleet.host(name))
        assert all(one.fix for one in caught.value.problems)
    for name in LEAVERS:
        refuse_pillar(found, found.fleet.host(name))


# its agent


def test_a_host_ends_what_it_works_on(page: Page) -> None:
    page.runs(3, "rpi2")
    page.runs(4, "imac")
    said: list[str] = []

    def end() -> None:
        if len(page.asked) > 4:
            page.tasks[3]["state"] = "done"

    page.then = end
    found = target()
    assert drain(found, found.fleet.host("rpi2"), now=False, say=said.append) == (3,)
    assert page.asked[:2] == ["agents", "POST agents/rpi2/drain"]
    assert page.asked[-1] == "POST agents/rpi2/give-up"
    assert page.asked.count("tasks") > 1
    assert said == ["rpi2 works on task 3: waiting (--now ends it)"]


def test_now_waits_for_nothing(page: Page) -> None:
    page.runs(3, "rpi2")
    found = target()
    assert drain(found, found.fleet.host("rpi2"), now=True, say=print) == (3,)
    assert "tasks" not in page.asked


def test_a_host_that_the_page_has_forgotten_has_nothing_to_end(page: Page) -> None:
    found = target()
    assert drain(found, found.fleet.host("macbook2"), now=False, say=print) == ()
    assert page.asked == ["agents"]


# fleet remove


class Hosts:
    """What would be done on hosts."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, frozenset[str], tuple[str, ...]]] = []
        self.outcomes: dict[str, Outcome] = {}
        self.wiped: list[str] = []
        self.broken = False

    def run_only(
        self, it: Target, reason: str, only: frozenset[str], names: Sequence[str], *_: Any
    ) -> Applied:
        self.ran.append((reason, only, tuple(names)))
        return Applied()

    def verify(self, it: Target, meant: Mapping[str, Any], *_: Any) -> tuple[HostOutcome, ...]:
        return tuple(
            HostOutcome(name, self.outcomes.get(name, Outcome.REMOVED), "why") for name in meant
        )


@pytest.fixture
def hosts(file: Path, page: Page, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """Nothing is really run; the host that leaves is off."""
    it = Hosts()
    monkeypatch.setattr(remove, "FleetLock", lambda *_, **__: nullcontext())
    monkeypatch.setattr(remove, "answers", lambda host, _: False)
    monkeypatch.setattr(remove, "run_only", it.run_only)
    monkeypatch.setattr(remove, "verify", it.verify)
    return it


def test_a_dead_host_leaves(file: Path, hosts: Hosts, page: Page, capsys: Capture) -> None:
    page.runs(7, "rpi2")
    before, old = file.read_text(), load_fleet(file)
    kept = known_hosts(old.host("rpi2"), load_target())
    assert kept
    assert kept.exists()
    assert cli.main(["remove", "rpi2", "--yes"]) == 0
    now = load_fleet(file)
    assert now.hosts == tuple(one for one in old.hosts if one.name != "rpi2")
    assert [line for line in before.splitlines() if line in file.read_text().splitlines()]
    assert before.count("#") == file.read_text().count("#"), "comments stay"
    assert "rpi2" not in lock_path(file).read_text()
    assert "rpi1" in read_fleet_lock(lock_path(file)).hosts
    assert not kept.exists()
    ((reason, only, names),) = hosts.ran
    assert reason == "remove rpi2"
    assert {"firewall", "orchestrator", "dispatch", "gateway", "quarantine"} <= only
    assert "rpi2" not in names
    assert "unblock rpi2" in page.asked
    said = capsys.readouterr().out
    for words in ("does not answer", "tailnet in its admin console", "fleet policy", "retry 7"):
        assert words in said
    assert "erase rpi2's disk" in said
    assert cli.main(["remove", "rpi2", "--yes"]) == 1, "it is not there any more"


def test_what_was_cut_off_is_finished(file: Path, hosts: Hosts, capsys: Capture) -> None:
    hosts.outcomes["rpi1"] = Outcome.REMAIN
    assert cli.main(["remove", "rpi2", "--yes"]) == 1
    assert "rpi2" not in {one.name for one in load_fleet(file).hosts}
    assert "rpi2" in read_fleet_lock(lock_path(file)).hosts
    hosts.outcomes["rpi1"] = Outcome.PENDING
    assert cli.main(["remove", "rpi2", "--yes"]) == 3
    first, second = hosts.ran
    assert first == second, "what it had is still known"
    assert "rpi2" not in read_fleet_lock(lock_path(file)).hosts
    assert "has left fleet.yaml" not in capsys.readouterr().err


def test_nobody_there_and_nobody_said_yes(file: Path, hosts: Hosts, capsys: Capture) -> None:
    before = file.read_bytes(), lock_path(file).read_bytes()
    assert cli.main(["remove", "rpi2"]) == 64
    assert cli.main(["remove", "rpi22", "--yes"]) == 1
    assert 'did you mean "rpi2"' in capsys.readouterr().err
    assert cli.main(["remove", "rpi1", "--yes"]) == 1
    assert "`backup:`" in capsys.readouterr().err
    assert cli.main(["remove", "rpi2", "--wipe", "--yes"]) == 1
    assert "cannot be wiped" in capsys.readouterr().err
    assert (file.read_bytes(), lock_path(file).read_bytes()) == before
    assert hosts.ran == []


def test_an_orchestrator_that_is_off(file: Path, hosts: Hosts, page: Page, capsys: Capture) -> None:
    page.fault = "cannot be reached"
    before = file.read_bytes()
    assert cli.main(["remove", "rpi2", "--yes"]) == 1
    assert "say --now" in capsys.readouterr().err
    assert file.read_bytes() == before
    assert cli.main(["remove", "rpi2", "--yes", "--now", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lost"] == []


class FakeRunner:
    def __init__(self, hosts: Hosts) -> None:
        self.hosts = hosts

    def change(self, names: Sequence[str], _: Any) -> Any:
        self.hosts.wiped += names
        return None


@pytest.fixture
def wiping(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """The host is there, and a run would wipe it."""

    def runner(*_: Any, deploy: str) -> tuple[None, FakeRunner]:
        assert deploy == "fleet/wipe_deploy.py"
        return None, FakeRunner(hosts)

    def plan(_: Any, __: Any, names: tuple[str, ...], *___: Any) -> Planned:
        steps = (Step("wipe", "wipe", ("user claude-agent: remove",)),)
        return Planned("home", "", (HostPlan(names[0], steps),))

    def applied(_: Any, names: tuple[str, ...], __: Any) -> Applied:
        ending = Ending.FAILED if hosts.broken else Ending.CHANGED
        return Applied({names[0]: Result(names[0], ending, error="no space" * hosts.broken)})

    monkeypatch.setattr(remove, "answers", lambda host, _: True)
    monkeypatch.setattr(remove, "runner_for", runner)
    monkeypatch.setattr(remove, "plan_of", plan)
    monkeypatch.setattr(remove, "applied", applied)
    monkeypatch.setattr(remove, "note_run", lambda *_: None)
    return hosts


def test_a_host_is_wiped_before_it_leaves(file: Path, wiping: Hosts, capsys: Capture) -> None:
    assert cli.main(["remove", "rpi2", "--wipe", "--yes"]) == 0
    assert wiping.wiped == ["rpi2"]
    said = capsys.readouterr().out
    assert "user claude-agent: remove" in said
    assert "packages, its name, and Tailscale stay on rpi2" in said


def test_a_wipe_that_fails_changes_nothing_else(file: Path, wiping: Hosts, capsys: Capture) -> None:
    before = file.read_bytes()
    wiping.broken = True
    assert cli.main(["remove", "rpi2", "--wipe", "--yes"]) == 1
    assert "is not wiped: no space" in capsys.readouterr().err
    assert file.read_bytes() == before
    assert wiping.ran == []


def test_a_host_that_was_left_as_it_is_runs_on(file: Path, wiping: Hosts, capsys: Capture) -> None:
    assert cli.main(["remove", "rpi2", "--yes"]) == 0
    assert wiping.wiped == []
    assert "its services run on, and are let in nowhere" in capsys.readouterr().out


# fleet replace


def test_a_new_card_is_another_system(file: Path, page: Page, capsys: Capture) -> None:
    page.runs(7, "rpi2")
    before = file.read_bytes()
    assert cli.main(["replace", "rpi2", "--yes"]) == 0
    assert file.read_bytes() == before
    assert "rpi2" not in read_fleet_lock(lock_path(file)).hosts
    found = load_fleet(file).host("rpi2")
    assert (found.addresses.tailnet, found.host_keys, found.compiler) == (None, (), None)
    assert "POST tasks/7/retry" not in page.asked
    said = capsys.readouterr().out
    for step in ("task 7: lost", "gets its name", "fleet bootstrap rpi2", "fleet trust rpi2"):
        assert step in said


def test_its_tasks_begin_again(file: Path, page: Page, capsys: Capture) -> None:
    page.runs(7, "rpi2")
    page.runs(8, "rpi2", "lost")
    page.runs(9, "imac")
    assert cli.main(["replace", "rpi2", "--tasks", "requeue", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"] == [7, 8]
    again = [one for one in page.asked if one.endswith("retry")]
    assert again == ["POST tasks/7/retry", "POST tasks/8/retry"]


def test_what_cannot_be_replaced_so(file: Path, page: Page, capsys: Capture) -> None:
    assert cli.main(["replace", "arch-orchestrator", "--yes"]) == 1
    assert "from a backup" in capsys.readouterr().err
    file.write_text(file.read_text().replace("{lan: 192.168.50.32}", "{tailnet: 100.101.0.6}"))
    stated = load_fleet(file).host("rpi2").addresses.tailnet
    assert stated
    assert cli.main(["replace", "rpi2", "--yes"]) == 1
    assert "hosts.rpi2.addresses.tailnet" in capsys.readouterr().err
    page.fault = "cannot be reached"
    assert cli.main(["replace", "imac", "--yes"]) == 1
    assert "imac" in read_fleet_lock(lock_path(file)).hosts
