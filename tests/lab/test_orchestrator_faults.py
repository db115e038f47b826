"""The orchestrator loses its power, and then its disk: no task is lost, and none runs twice."""

from __future__ import annotations

import json
from typing import Any

from fleet import orchestrator
from fleet.target import Target
from lab.api import Lab
from tests.lab import desk
from tests.lab.agents import ORCHESTRATOR, until
from tests.lab.runs import converge, fleet

TOLD = "/tmp/told"  # noqa: S108 - on the lab's hosts: a line for each time that an agent was told
HERE = ("macbook1", "imac", "rpi1")
MANY = 20
ENDED = ("done", "failed", "cancelled")


def _work(name: str, more: str = "") -> str:
    return f"run echo {name} >>{TOLD}{more}"


def _twenty(lab: Lab, target: Target) -> dict[str, list[int]]:
    """Twenty tasks: some that wait, some at work, some that are over in every way, and a plan."""
    made: dict[str, list[int]] = {}
    wish = desk.on("imac")
    for name in ("done-1", "done-2"):
        number = desk.send(target, _work(name), wish=wish)
        desk.becomes(target, number, "done")
        made.setdefault("done", []).append(number)
    doomed = desk.send(target, _work("failed", "; sleep 600"), wish=wish)
    until(lambda: "failed" in lab.run("imac", f"cat {TOLD}").stdout)
    orchestrator.api(target, "POST", f"{desk.API}/kill", b'{"hosts": ["imac"]}')
    desk.becomes(target, doomed, "failed")
    made["failed"] = [doomed]
    lost = desk.send(target, _work("lost", "; sleep 600"), wish=desk.on("rpi1"))
    until(lambda: "lost" in lab.run("rpi1", f"cat {TOLD}", check=False).stdout)
    lab.run("rpi1", "systemctl kill --signal=KILL agentfleet-agentapi")
    desk.becomes(target, lost, "lost")
    made["lost"] = [lost]
    running = desk.send(target, _work("running", "; sleep 45"), wish=desk.on("macbook1"))
    until(lambda: "running" in lab.run("macbook1", f"cat {TOLD}", check=False).stdout)
    made["running"] = [running]
    plan = {"goal": "plan: a: say a; b<a: say b"}
    number = orchestrator.api(target, "POST", f"{desk.API}/plans", json.dumps(plan).encode())["id"]
    until(
        lambda: (
            orchestrator.api(target, "GET", f"{desk.API}/plans/{number}")["plan"]["state"]
            == "review"
        )
    )
    made["draft"] = [n for n, one in desk.all_tasks(target).items() if one["plan"] == number]
    so_far = sum(map(len, made.values()))
    # These wait for hosts that have something else to do, or no money.
    waiting = [
        desk.send(target, _work(f"queued-{n}"), wish=desk.on("macbook1" if n % 2 else "imac"))
        for n in range(MANY - so_far)
    ]
    desk.act(target, waiting[-1], "cancel")
    return made | {"queued": waiting[:-1], "cancelled": waiting[-1:]}


def _plain(task: dict[str, Any]) -> dict[str, Any]:
    """What must be the same whatever happens meanwhile."""
    return {name: task[name] for name in ("id", "prompt", "title", "by", "created", "wish", "plan")}


def test_twenty_tasks_outlive_a_power_cut(lab: Lab, target: Target) -> None:
    desk.all_idle(target)
    made = _twenty(lab, target)
    before = desk.all_tasks(target)
    assert {one["state"] for one in before.values()} >= {
        "done", "failed", "lost", "running", "draft", "queued", "cancelled",
    }  # fmt: skip
    assert len(before) >= MANY
    lab.poweroff(ORCHESTRATOR)
    lab.poweron(ORCHESTRATOR)
    until(lambda: desk.answers(target))
    after = desk.all_tasks(target)
    assert {n: _plain(one) for n, one in after.items()} == {
        n: _plain(one) for n, one in before.items()
    }
    for number in (n for n, one in before.items() if one["state"] in (*ENDED, "lost", "draft")):
        assert after[number]["state"] == before[number]["state"], number
    (running,) = made["running"]
    ended = desk.becomes(target, running, "done", "lost")
    assert ended["attempt"] == 1
    # A person begins a new session where the money was taken away; then what waited goes on.
    assert fleet("new-session", "imac").returncode == 0
    orchestrator.api(target, "POST", f"{desk.API}/agents/imac/session")
    for number in made["queued"]:
        desk.becomes(target, number, "done")
    told = [
        line for host in HERE for line in lab.run(host, f"cat {TOLD}", check=False).stdout.split()
    ]
    assert len(told) == len(set(told)), "nobody is told twice"
    assert {f"queued-{n}" for n in range(len(made["queued"]))} <= set(told)
    assert "cancelled" not in told


def test_a_destroyed_orchestrator_comes_back_from_its_backup(lab: Lab, target: Target) -> None:
    """The second host keeps what it cannot read; the operator's key opens it."""
    secret = "a prompt that nobody else may read"  # noqa: S105 - it is none
    number = desk.send(target, f"say {secret}", wish=desk.on("macbook1"))
    desk.becomes(target, number, "done")
    before = desk.all_tasks(target)
    lab.run(ORCHESTRATOR, "systemctl start agentfleet-backup.service")
    timer = lab.run(ORCHESTRATOR, "systemctl is-enabled agentfleet-backup.timer").stdout
    assert timer == "enabled\n"
    keeper = lab.fleet.backup_host
    assert keeper is not None
    listed = fleet("restore", "--list")
    assert listed.returncode == 0, listed.stderr
    (name,) = listed.stdout.split()
    (file,) = lab.run(keeper.name, f"find / -xdev -name {name}").stdout.split()
    assert lab.run(keeper.name, f"head -c 21 {file}").stdout == "age-encryption.org/v1"
    assert lab.run(keeper.name, f"grep -c '{secret}' {file}", check=False).stdout == "0\n"
    lab.reset([ORCHESTRATOR])
    lab.tailnet.remove(ORCHESTRATOR)
    run = converge()
    assert run.code == 0, run.output
    until(lambda: desk.answers(target))
    assert desk.all_tasks(target) == {}
    done = fleet("restore", "--yes", "--key", str(lab.place.key))
    assert done.returncode == 0, done.stderr
    until(lambda: desk.answers(target))
    after = desk.all_tasks(target)
    assert {n: (one["state"], _plain(one)) for n, one in after.items()} == {
        n: (one["state"], _plain(one)) for n, one in before.items()
    }
    assert secret in desk.said(target, number, "agent")
    desk.all_idle(target)
    again = desk.send(target, "say it goes on", wish=desk.on("imac"))
    assert again > max(before)
    desk.becomes(target, again, "done")
