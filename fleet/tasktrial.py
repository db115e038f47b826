"""One real task from the orchestrator to an agent, looked for on the agent's host: costs money."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from deploys.agentapi import work_dir
from fleet import orchestrator
from fleet.model import Power
from fleet.plan import view_of
from fleet.problems import FleetError, printable
from fleet.ssh import as_root, route
from fleet.target import Target
from orchestrator.gateway.money import shown
from orchestrator.health.model import Item, Outside, Verdict

KIND = "task"
API = "/api/v1"
CAP = 500_000  # micro-dollars; half of it, and the gateway refuses calls that are under way at once
LIMIT_S = 300.0  # from sending to its end; a session is begun for it
LOOK_S = 30.0
# A person's words for an agent; the command is the first paragraph, which the lab's agents obey.
PROMPT = """Run echo {word} >{file}

This checks that tasks arrive here. Run exactly that shell command once, in the directory where \
you are, and do nothing else. Leave the file where it is: whoever sent this looks for it and \
removes it. Then answer with one word: done."""


def is_meant(words: Sequence[str]) -> bool:
    """Whether `--only` means a task by name."""
    return any(word.partition("@")[0] == KIND for word in words)


def wanted(words: Sequence[str]) -> tuple[str, ...] | None:
    """The hosts that `--only` means by `task@HOST`, none for any; None: no task is meant."""
    if words and not is_meant(words):
        return None
    return tuple(word.partition("@")[2] for word in words if word.startswith(f"{KIND}@"))


def task_items(target: Target, hosts: Sequence[str], outside: Outside) -> tuple[Item, ...]:
    """An item for each of these hosts that there is; without any, for one that is free."""
    there = {host.name for host in target.fleet.hosts}
    meant = [name for name in hosts if name in there] if hosts else [""]
    if outside.fault or outside.page_fault:
        words = f"see {'orchestrator' if outside.fault else 'page'}"
        return tuple(Item(KIND, name, Verdict.UNKNOWN, words) for name in meant)
    return tuple(_item(target, name) for name in meant)


def _item(target: Target, wish: str) -> Item:
    """Choose, send, wait, look."""
    try:
        host, why = _choose(target, wish)
        if not host:
            return Item(KIND, wish, Verdict.UNKNOWN, printable(why), "fleet agents")
        word = secrets.token_hex(8)
        file = f"fleet-check-{word}"
        number = _send(target, host, PROMPT.format(word=word, file=file))
    except FleetError as error:
        words = "; ".join(problem.fault for problem in error.problems)
        return Item(KIND, wish, Verdict.UNKNOWN, printable(words), "fleet agents")
    except (LookupError, TypeError, ValueError):
        words = "the page says something else than it should"
        return Item(KIND, wish, Verdict.UNKNOWN, words, "fleet apply")
    began = time.monotonic()
    fault, cost = _wait(target, number)
    advice = f"fleet task show {number}"
    if fault:
        return Item(KIND, host, Verdict.FAILED, printable(f"task {number} {fault}"), advice)
    took = time.monotonic() - began
    if fault := _look(target, host, file, word):
        words = f"task {number} is done, and {printable(fault)}"
        return Item(KIND, host, Verdict.FAILED, words, advice)
    words = f"{host} wrote what task {number} gave it, in {took:.0f} s, for {shown(cost)}"
    return Item(KIND, host, Verdict.OK, words)


def _choose(target: Target, wish: str) -> tuple[str, str]:
    """The host that would do it now, as the orchestrator says, or why there is none.

    Rather one that is always on and is not the orchestrator: the way to it is tried, too. The cap
    is the same everywhere, so that any of them costs the same.
    """
    body = {"wish": {"host": wish, "failover": False} if wish else {}, "cap": CAP}
    choice = orchestrator.api(target, "POST", f"{API}/choose", json.dumps(body).encode())
    fitting = {str(one["host"]) for one in orchestrator.rows(choice, "verdicts") if one["fits"]}
    boss = target.fleet.orchestrator

    def rank(name: str) -> tuple[bool, bool]:
        return name == boss.name, target.fleet.host(name).power is not Power.ALWAYS_ON

    known = [host.name for host in target.fleet.hosts if host.name in fitting]
    return min(known, key=rank, default=""), str(choice["why"])


def _send(target: Target, host: str, prompt: str) -> int:
    wish = {"host": host, "failover": False}
    draft = {"prompt": prompt, "title": "fleet check", "wish": wish, "cap": CAP}
    sent = orchestrator.api(target, "POST", f"{API}/tasks", json.dumps(draft).encode())
    return int(sent["id"])


def _wait(target: Target, number: int) -> tuple[str, int]:
    """Follow a task to its end: what went wrong, and what it has cost. Whoever gives up on it,
    by an interrupt too, cancels it.
    """
    task: dict[str, Any] = {}

    def heard(news: dict[str, Any]) -> None:
        task.update(news.get("task", {}))

    try:
        orchestrator.follow(target, number, heard, LIMIT_S)
    except BaseException as error:
        with suppress(FleetError):
            orchestrator.api(target, "POST", f"{API}/tasks/{number}/cancel")
        if not isinstance(error, FleetError):
            raise
        said = f"{task.get('state', 'sent')}: {task.get('reason') or task.get('why') or ''}"
        words = "; ".join(problem.fault for problem in error.problems)
        return f"did not end, and was cancelled ({words}); it was {said}", 0
    if task.get("state") != "done":
        return f"is {task.get('state', 'gone')}: {task.get('reason', '')}", 0
    return "", int(task.get("cost", 0))


def _look(target: Target, host: str, file: str, word: str) -> str:
    """Look for the file on the host, as the agent, and remove it; what is wrong with it."""
    view = view_of(target, host)
    path = f"{work_dir(view)}/{file}"
    become = f"sudo -n -u {view.settings.agent_user} --"
    script = (
        f"cd /\nif [ -f '{path}' ]; then {become} head -c 100 '{path}' </dev/null; fi\n"
        f"{become} rm -f '{path}' </dev/null\n"
    )
    answer = as_root(route(view.host, target), script, LOOK_S)
    if not answer.reached:
        return f"{host} cannot be reached: {answer.stderr}"
    there = answer.stdout.strip()
    if there == word:
        return ""
    return f"{path} on {host} " + ("has something else in it" if there else "is not there")
