"""Talking to the lab's agents as the orchestrator's service does, and to the host behind them."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from typing import Any

from lab.api import Lab
from orchestrator.registry.agentapi import NOT_READY
from tests.lab.runs import fleet

ORCHESTRATOR = "arch-orchestrator"
SERVICE = "agentfleet-orchestrator"
LONGEST_S = 180.0


def curl(lab: Lab, *words: str, host: str = ORCHESTRATOR, user: str = SERVICE) -> Any:
    """`curl` on a host, as an account there; it fails with the body when the answer is an error."""
    command = shlex.join(["curl", "-sS", "--fail-with-body", "-m", "40", *words])
    become = f"setpriv --reuid={user} --clear-groups {command}"
    if lab.fleet.host(host).is_mac:
        become = command
    return lab.run(host, become, check=False)


def url(lab: Lab, name: str, path: str) -> str:
    return f"http://{name}:3284{path}"


def status(lab: Lab, name: str) -> str:
    """What the agent says; empty while it says nothing."""
    done = curl(lab, url(lab, name, "/status"))
    return str(json.loads(done.stdout)["status"]) if done.returncode == 0 else ""


def until(what: Callable[[], bool], limit_s: float = LONGEST_S) -> None:
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.5)


def idle(lab: Lab, name: str) -> None:
    """Wait until the agent waits for input."""
    until(lambda: status(lab, name) == "stable")


def say(lab: Lab, name: str, text: str) -> None:
    """Say something to an agent, once it waits for input (one just begun looks so early)."""
    body = json.dumps({"content": text, "type": "user"})
    words = ("-X", "POST", url(lab, name, "/message"), "-H", "Content-Type: application/json")

    def heard() -> bool:
        idle(lab, name)
        done = curl(lab, *words, "-d", body)
        if done.returncode and NOT_READY in done.stdout:
            return False  # it was not sent
        assert done.returncode == 0, done.stderr + done.stdout
        assert json.loads(done.stdout)["ok"] is True
        return True

    until(heard)


def answer(lab: Lab, name: str) -> str:
    """What the agent has said last, once it is idle."""
    idle(lab, name)
    done = curl(lab, url(lab, name, "/messages"))
    return str(json.loads(done.stdout)["messages"][-1]["content"])


def spent(lab: Lab, name: str) -> dict[str, Any]:
    """What `fleet budget` says of a host, once nothing is under way."""
    for _ in range(60):
        found = json.loads(fleet("budget", "--json").stdout)
        (mine,) = [one for one in found["hosts"] if one["host"] == name]
        if mine["reserved"] == 0:
            return dict(mine)
        time.sleep(0.5)
    raise AssertionError("a call stays reserved")


def begin(*names: str) -> None:
    """New sessions."""
    done = fleet("new-session", *names)
    assert done.returncode == 0, done.stdout + done.stderr
