"""The orchestrator loses its power: no task is lost, and none runs twice."""

from __future__ import annotations

import json

from fleet import orchestrator
from fleet.target import Target
from lab.api import Lab
from tests.lab import desk
from tests.lab.agents import ORCHESTRATOR, until

TOLD = "/tmp/told"  # noqa: S108 - on the lab's hosts: a line for each time that an agent was told
MANY, DRAFTS = 20, 8
ENDED = ("done", "failed", "cancelled")
# Claude Code itself, which can write that line. The Macs of the lab have one without tools.
FAILS, LOSES, WORKS = "rpi1", "rpi2", "rpi3"
BUSY, HELD = "imac", "macbook1"


def _work(name: str) -> str:
    return f"run echo {name} >>{TOLD}; sleep {'45' if name == WORKS else '600'}"


def _told(lab: Lab) -> list[str]:
    hosts = (FAILS, LOSES, WORKS)
    return [
        line for host in hosts for line in lab.run(host, f"cat {TOLD}", check=False).stdout.split()
    ]


def _twenty(lab: Lab, target: Target) -> dict[str, list[int]]:
    """Twenty tasks: some that wait, some at work, some that are over in every way, and a plan."""
    made: dict[str, list[int]] = {}
    working = {name: desk.send(target, _work(name), wish=desk.on(name)) for name in (FAILS, LOSES)}
    made["done"] = [desk.send(target, f"say {n}", wish=desk.on(HELD)) for n in range(2)]
    goal = "plan: " + "; ".join(f"step-{n}: say {n}" for n in range(DRAFTS))
    said = json.dumps({"goal": goal}).encode()
    plan = orchestrator.api(target, "POST", f"{desk.API}/plans", said)["id"]
    until(lambda: {FAILS, LOSES} <= set(_told(lab)))
    for number in made["done"]:
        desk.becomes(target, number, "done")
    desk.kill(target, FAILS, HELD)
    lab.run(LOSES, "systemctl kill --signal=KILL agentfleet-agentapi")
    made["failed"], made["lost"] = [working[FAILS]], [working[LOSES]]
    desk.becomes(target, working[FAILS], "failed")
    desk.becomes(target, working[LOSES], "lost")
    made["draft"] = [n for n, one in desk.all_tasks(target).items() if one["plan"] == plan]
    assert len(made["draft"]) == DRAFTS
    busy = desk.send(target, "slow 60", wish=desk.on(BUSY))
    made["running"] = [busy, desk.send(target, _work(WORKS), wish=desk.on(WORKS))]
    so_far = sum(map(len, made.values()))
    # These wait for hosts that have something else to do, or no money.
    waiting = [
        desk.send(target, f"say {n}", wish=desk.on(BUSY if n % 4 else HELD))
        for n in range(MANY - so_far)
    ]
    desk.act(target, waiting[-1], "cancel")
    until(lambda: WORKS in _told(lab))
    return made | {"queued": waiting[:-1], "cancelled": waiting[-1:]}


def _sent(target: Target, number: int) -> int:
    """How often the agent of a task was told."""
    events = orchestrator.api(target, "GET", f"{desk.API}/tasks/{number}/events")["events"]
    return sum(one["kind"] == "sent" for one in events)


def test_twenty_tasks_outlive_a_power_cut(lab: Lab, target: Target) -> None:
    desk.all_idle(target)
    made = _twenty(lab, target)
    before = desk.all_tasks(target)
    assert len(before) == MANY
    assert {one["state"] for one in before.values()} >= {
        "done", "failed", "lost", "running", "draft", "queued", "cancelled",
    }  # fmt: skip
    lab.poweroff(ORCHESTRATOR)
    lab.poweron(ORCHESTRATOR)
    until(lambda: desk.answers(target))
    after = desk.all_tasks(target)
    assert {n: desk.plain(one) for n, one in after.items()} == {
        n: desk.plain(one) for n, one in before.items()
    }
    for number in (n for n, one in before.items() if one["state"] in (*ENDED, "lost", "draft")):
        assert after[number]["state"] == before[number]["state"], number
    # A person begins a new session where the money was taken away; then what waited goes on.
    orchestrator.api(target, "POST", f"{desk.API}/agents/{HELD}/session")
    for number in (*made["running"], *made["queued"]):
        ended = desk.becomes(target, number, "done")
        assert (ended["attempt"], _sent(target, number)) == (1, 1), ended
        assert desk.said(target, number, "user").count(ended["prompt"]) == 1
    assert sorted(_told(lab)) == sorted((FAILS, LOSES, WORKS)), "each was told once"
