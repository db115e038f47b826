"""What is asked of the orchestrator's own programs, by runs and by commands, over SSH."""

from __future__ import annotations

import json
import shlex
from typing import Any

from deploys import gateway, quarantine
from deploys.base import orchestrator_program
from fleet.plan import view_of
from fleet.problems import FleetError
from fleet.ssh import Answer, as_root, route
from fleet.target import Target
from fleet.view import HostView

ANSWER_S = 30.0
SESSION_S = 240.0  # for each host: its agent is stopped, its home put away, and started anew


def ask(target: Target, *arguments: str, timeout_s: float = ANSWER_S) -> Any:  # noqa: ANN401 - JSON
    """What the orchestrator's programs answer. Raises FleetError in their words, or ssh's."""
    boss = target.fleet.orchestrator
    answer = _run(target, arguments, timeout_s)
    if not answer.reached:
        fix = "see that it is up: `fleet status`"
        raise FleetError.of(boss.name, f"cannot be reached: {answer.stderr}", fix)
    try:
        said = json.loads(answer.stdout) if answer.stdout.strip() else None
    except ValueError:
        said = None
    if answer.code or said is None:
        fault = answer.stderr or f"its program ended with {answer.code}"
        fix = "run `pyinfra inventory.py deploy.py` where it is not installed yet"
        raise FleetError.of(boss.name, fault, fix)
    return said


def begin_session(target: Target, host: str) -> str:
    """Begin a new session of the host's agent; what was in the way, empty when it has begun."""
    try:
        ask(target, "session", "new", host, timeout_s=SESSION_S)
    except FleetError as error:
        return str(error)
    return ""


def blocked(target: Target) -> tuple[dict[str, Any], ...]:
    """The workers that the quarantine keeps out, as orchestrator/quarantine/reports.py lists them.

    Raises FleetError.
    """
    return tuple(ask(target, "blocked")["blocked"])


def _config_path(view: HostView, verb: str) -> str:
    quarantined = verb in ("blocked", "unblock")
    return quarantine.config_path(view) if quarantined else gateway.config_path(view)


def _run(target: Target, arguments: tuple[str, ...], timeout_s: float) -> Answer:
    """As the account that may talk to the services and to agents, and may do nothing else."""
    view = view_of(target, target.fleet.orchestrator.name)
    command = shlex.join(
        (
            *("sudo", "-n", "-u", view.settings.orchestrator_user, "--"),
            *("/usr/bin/python3", "-IB", orchestrator_program(view).path),
            *(arguments[:1]),
            *("--config", _config_path(view, arguments[0])),
            *(arguments[1:]),
        )
    )
    return as_root(route(view.host, target), f"cd /\nexec {command}\n", timeout_s)
