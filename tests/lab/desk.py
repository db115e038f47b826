"""Putting the lab's orchestrator to work, as `fleet task` and the page do."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from fleet import orchestrator
from fleet.problems import FleetError
from fleet.target import Target
from tests.lab.agents import until

API = "/api/v1"
OPEN = ("queued", "reserved", "running")
# Where an agent may write, its /tmp being its own on the orchestrator, and what no new session
# puts away.
SHARED = "/var/lib/claude-agent/sessions"


def send(target: Target, prompt: str, **more: Any) -> int:
    """Send a task: its number. `more` are fields of the API's Draft."""
    body = json.dumps({"prompt": prompt} | more).encode()
    return int(orchestrator.api(target, "POST", f"{API}/tasks", body)["id"])


def on(host: str) -> dict[str, Any]:
    """The wish for this host and no other."""
    return {"host": host, "failover": False}


def task(target: Target, number: int) -> dict[str, Any]:
    found = orchestrator.api(target, "GET", f"{API}/tasks/{number}")
    assert isinstance(found, dict)
    return found


def act(target: Target, number: int, verb: str) -> None:
    orchestrator.api(target, "POST", f"{API}/tasks/{number}/{verb}")


def kill(target: Target, *hosts: str) -> None:
    """Take the agents' money away: they get no task until a person begins a session there."""
    orchestrator.api(target, "POST", f"{API}/kill", json.dumps({"hosts": hosts}).encode())


def plain(task: dict[str, Any]) -> dict[str, Any]:
    """What of a task must be the same whatever happens meanwhile."""
    return {name: task[name] for name in ("id", "prompt", "title", "by", "created", "wish", "plan")}


def all_tasks(target: Target) -> dict[int, dict[str, Any]]:
    found = orchestrator.api(target, "GET", f"{API}/tasks?most=200")["tasks"]
    return {one["id"]: one for one in found}


def becomes(target: Target, number: int, *states: str) -> dict[str, Any]:
    """Wait until the task is in one of these states; it ends at once when that cannot be."""

    def there() -> bool:
        now = task(target, number)
        ended = now["state"] not in (*OPEN, "lost", *states)
        assert not ended, f"task {number} is {now['state']}: {now['reason']}"
        return now["state"] in states

    until(there)
    return task(target, number)


def said(target: Target, number: int, role: str) -> str:
    """What the user or the agent said in a task's last attempt."""
    found = orchestrator.api(target, "GET", f"{API}/tasks/{number}/messages")["messages"]
    return "\n".join(one["content"] for one in found if one["role"] == role)


def answers(target: Target) -> bool:
    """Whether the orchestrator's page does."""
    try:
        orchestrator.api(target, "GET", "/healthz")
    except FleetError:
        return False
    return True


def conditions(target: Target) -> dict[str, str]:
    """How each agent is that fleet.yaml does not have off; nothing while the page is silent."""
    if not answers(target):
        return {}
    found = orchestrator.api(target, "GET", f"{API}/agents")["agents"]
    return {one["host"]["name"]: one["condition"] for one in found if one["condition"] != "off"}


def all_idle(target: Target) -> None:
    """Wait until every agent may be given work, as the page sees it."""
    until(lambda: set(conditions(target).values()) == {"idle"})


def git(folder: Path, *words: str) -> str:
    """What git says, as somebody."""
    person = ["-c", "user.name=Alice", "-c", "user.email=alice@example.com"]
    command = ["git", *person, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def repository(folder: Path) -> None:
    """A repository whose branch `main` has a file `notes` with the line `one`."""
    git(folder, "init", "-q", "-b", "main")
    (folder / "notes").write_text("one\n")
    git(folder, "add", "notes")
    git(folder, "commit", "-q", "-m", "one")
