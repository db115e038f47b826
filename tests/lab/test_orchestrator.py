"""The orchestrator puts real agents to work: tasks, code, plans, and who may ask for them."""

from __future__ import annotations

import json
from pathlib import Path

from fleet import orchestrator
from fleet.target import Target
from lab.api import Lab
from tests.lab import desk
from tests.lab.agents import ORCHESTRATOR, until
from tests.lab.runs import fleet


def told() -> dict[str, str]:
    """How each agent is, as `fleet agents` says."""
    done = fleet("agents", "--json")
    found = json.loads(done.stdout)["agents"] if done.stdout else []
    return {one["host"]["name"]: one["condition"] for one in found}


def test_all_agents_are_there_after_one_run_without_a_click(lab: Lab, target: Target) -> None:
    there = {host.name: "idle" if host.is_agent else "off" for host in lab.fleet.hosts}
    until(lambda: told() == there)
    assert list(told()) == [host.name for host in lab.fleet.hosts], "in the order of fleet.yaml"
    assert fleet("agents").returncode == 0


def test_code_goes_to_a_pi_and_comes_back_as_a_branch(target: Target, tmp_path: Path) -> None:
    desk.repository(tmp_path)
    work = "cd {code} && echo two >>notes && git commit -q -a -m 'Add two' && echo three >>notes"
    sent = fleet(
        *("task", "send", f"run {work}", "--host", "rpi3", "--no-failover", "--repo"),
        *(str(tmp_path), "--wait", "--json"),
    )
    assert sent.returncode == 0, sent.stdout + sent.stderr
    number = max(desk.all_tasks(target))
    assert desk.task(target, number)["host"] == "rpi3"
    fetched = fleet("task", "fetch", str(number), "--repo", str(tmp_path))
    assert fetched.returncode == 0, fetched.stderr
    branch = f"task-{number}"
    assert desk.git(tmp_path, "show", f"{branch}:notes") == "one\ntwo\nthree\n"
    assert "Add two" in desk.git(tmp_path, "log", "--format=%s", f"main..{branch}")
    assert desk.git(tmp_path, "show", "main:notes") == "one\n"
    assert desk.git(tmp_path, "status", "--porcelain") == ""


def test_a_plan_runs_across_two_hosts_and_hands_results_on(target: Target) -> None:
    """Made by Claude Code on the orchestrator; nothing runs before it is approved."""
    steps = f"plan: look@{ORCHESTRATOR}: run echo it is 6x7; tell@imac<look: say I was told"
    body = json.dumps({"goal": steps}).encode()
    number = orchestrator.api(target, "POST", f"{desk.API}/plans", body)["id"]

    def state() -> str:
        found = orchestrator.api(target, "GET", f"{desk.API}/plans/{number}")["plan"]
        assert found["state"] != "failed", found["reason"]
        return str(found["state"])

    until(lambda: state() == "review")
    made = orchestrator.api(target, "GET", f"{desk.API}/plans/{number}")["tasks"]
    look, tell = sorted(made, key=lambda one: int(one["id"]))
    assert [one["state"] for one in made] == ["draft", "draft"]
    assert tell["after"] == [look["id"]]
    orchestrator.api(target, "POST", f"{desk.API}/plans/{number}/approve")
    done = [desk.becomes(target, one["id"], "done") for one in (look, tell)]
    assert [one["host"] for one in done] == [ORCHESTRATOR, "imac"]
    assert done[0]["ended"] <= done[1]["sent"]
    assert "it is 6x7" in desk.said(target, tell["id"], "user")
    assert "I was told" in desk.said(target, tell["id"], "agent")


def test_an_agent_that_is_killed_leaves_a_lost_task_that_is_tried_again_by_hand(
    lab: Lab, target: Target
) -> None:
    begun, go = f"{desk.SHARED}/begun", f"{desk.SHARED}/go"
    prompt = f"run echo told >>{begun}; test -e {go} || sleep 600; echo over"
    number = desk.send(target, prompt, wish=desk.on(ORCHESTRATOR))
    until(lambda: lab.run(ORCHESTRATOR, f"cat {begun}", check=False).stdout == "told\n")
    lab.run(ORCHESTRATOR, "systemctl kill --signal=KILL agentfleet-agentapi")
    lost = desk.becomes(target, number, "lost")
    assert lost["reason"]
    shown = fleet("task", "list", "--state", "lost")
    assert str(number) in shown.stdout
    lab.run(ORCHESTRATOR, f"touch {go}")
    until(lambda: desk.conditions(target)[ORCHESTRATOR] == "idle")
    assert desk.task(target, number)["state"] == "lost", "nobody is told twice by itself"
    assert lab.run(ORCHESTRATOR, f"cat {begun}").stdout == "told\n"
    assert fleet("task", "retry", str(number)).returncode == 0
    done = desk.becomes(target, number, "done")
    assert done["attempt"] == 2
    assert lab.run(ORCHESTRATOR, f"cat {begun}").stdout == "told\ntold\n"
