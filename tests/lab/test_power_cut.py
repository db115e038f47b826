"""The orchestrator loses its power: no task is lost, and none runs twice."""

from __future__ import annotations

import json

import pytest

from fleet import orchestrator
from fleet.target import Target
from lab.api import Lab
from tests.lab import desk
from tests.lab.agents import ORCHESTRATOR, until

# A line for each time that the agent was told: the only one of these that has tools, and is slow.
TOLD = "/tmp/told"  # noqa: S108 - on a host of the lab
HELD, LOSES, WORKS = "macbook1", "imac", "rpi3"
MANY, DRAFTS = 20, 8
ENDED = ("done", "failed", "cancelled")


def _told(lab: Lab) -> str:
    return lab.run(WORKS, f"cat {TOLD}", check=False).stdout


def _twenty(lab: Lab, target: Target) -> dict[str, list[int]]:
    """Twenty tasks: some that wait, one at work, some that are over in every way, and a plan.

    Those that are needed again, by their states.
    """
    goal = "plan: " + "; ".join(f"step-{n}: say {n}" for n in range(DRAFTS))
    said = json.dumps({"goal": goal}).encode()
    plan = orchestrator.api(target, "POST", f"{desk.API}/plans", said)["id"]
    work = f"run echo told >>{TOLD}; until test -e {TOLD}.go; do sleep 1; done"
    running = desk.send(target, work, wish=desk.on(WORKS))
    done = [desk.send(target, f"say {host}", wish=desk.on(host)) for host in (HELD, LOSES)]
    failed, lost = [desk.send(target, "slow 600", wish=desk.on(host)) for host in (HELD, LOSES)]
    for number in (failed, lost, running):
        desk.becomes(target, number, "running")
    until(lambda: _told(lab) == "told\n")
    desk.kill(target, HELD)
    lab.run(LOSES, "pkill -KILL -f '[a]gentapi server'")
    desk.becomes(target, failed, "failed")
    desk.becomes(target, lost, "lost")
    drafts = [n for n, one in desk.all_tasks(target).items() if one["plan"] == plan]
    assert len(drafts) == DRAFTS
    so_far = len(drafts) + len(done) + 3
    # These wait for hosts that have something else to do, or no money.
    waiting = [
        desk.send(target, f"say {n}", wish=desk.on((HELD, LOSES, WORKS)[min(n % 4, 2)]))
        for n in range(MANY - so_far)
    ]
    desk.act(target, waiting[-1], "cancel")
    return {"running": [running], "lost": [lost], "queued": waiting[:-1]}


def _sent(target: Target, number: int) -> int:
    """How often the agent of a task was told."""
    events = orchestrator.api(target, "GET", f"{desk.API}/tasks/{number}/events")["events"]
    return sum(one["kind"] == "sent" for one in events)


@pytest.mark.long
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
    lab.run(WORKS, f"touch {TOLD}.go")
    after = desk.all_tasks(target)
    assert {n: desk.plain(one) for n, one in after.items()} == {
        n: desk.plain(one) for n, one in before.items()
    }
    for number in (n for n, one in before.items() if one["state"] in (*ENDED, "lost", "draft")):
        assert after[number]["state"] == before[number]["state"], number
    # A person begins a new session where the money was taken away, and says that the lost one is
    # done; then what waited goes on.
    orchestrator.api(target, "POST", f"{desk.API}/agents/{HELD}/session")
    (lost,) = made["lost"]
    desk.act(target, lost, "settle")
    for number in (*made["running"], *made["queued"]):
        ended = desk.becomes(target, number, "done")
        assert (ended["attempt"], _sent(target, number)) == (1, 1), ended
        assert desk.said(target, number, "user").count(ended["prompt"]) == 1
    assert _told(lab) == "told\n"
