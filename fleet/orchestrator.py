"""What is asked of the orchestrator's own programs, by runs and by commands, over SSH."""

from __future__ import annotations

import getpass
import json
import shlex
from collections.abc import Callable
from typing import Any

from deploys import backup, gateway, quarantine
from deploys import orchestrator as page
from deploys.base import orchestrator_program
from fleet.plan import view_of
from fleet.problems import FleetError
from fleet.ssh import Answer, as_root, converse, route
from fleet.target import Target
from fleet.view import HostView

ANSWER_S = 30.0
UPLOAD_S = 600.0  # a bundle over a slow link
WATCH_S = 7 * 86400.0  # a task takes as long as it takes
NOT_THERE = "run `pyinfra inventory.py deploy.py` where it is not installed yet"
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


def api(
    target: Target,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    kind: str = "application/json",
) -> Any:  # noqa: ANN401 - JSON
    """What the page's API answers. Raises FleetError in its words, or ssh's."""
    said: list[bytes] = []
    _talk(target, ("api", "--type", kind, method, path), body, said.append, UPLOAD_S)
    try:
        return json.loads(b"".join(said) or b"null")
    except ValueError:
        fault = "its page answers something else than JSON"
        raise FleetError.of(target.fleet.orchestrator.name, fault, NOT_THERE) from None


def rows(said: Any, name: str) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON
    """The things of a list, which may stand in an object under its name."""
    found = said.get(name, []) if isinstance(said, dict) else said
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def name_of(agent: dict[str, Any]) -> str:
    """The name of an agent's host, as the page's API tells of agents."""
    host = agent.get("host")
    return str(host.get("name", "")) if isinstance(host, dict) else str(host or "")


def follow(
    target: Target,
    task: int,
    heard: Callable[[dict[str, Any]], None],
    limit_s: float = WATCH_S,
) -> None:
    """Tell what happens to a task until it ends, as orchestrator/follow.py has it.

    Raises FleetError.
    """

    def line(said: bytes) -> None:
        if news := json.loads(said) if said.strip() else None:
            heard(news)

    _talk(target, ("follow", str(task)), b"", line, limit_s)


def as_root_there(target: Target, arguments: tuple[str, ...], body: bytes) -> Any:  # noqa: ANN401
    """What a program that needs root says of its standard input, as JSON. Raises FleetError."""
    view = view_of(target, target.fleet.orchestrator.name)
    said: list[bytes] = []
    _converse(target, view, shlex.join(_program(view, arguments)), body, said.append, UPLOAD_S)
    return json.loads(b"".join(said))


def _talk(
    target: Target,
    arguments: tuple[str, ...],
    body: bytes,
    heard: Callable[[bytes], None],
    timeout_s: float,
) -> None:
    view = view_of(target, target.fleet.orchestrator.name)
    verb, *rest = arguments
    command = _command(view, (verb, "--who", _who(view), *rest))
    _converse(target, view, command, body, heard, timeout_s)


def _converse(
    target: Target,
    view: HostView,
    command: str,
    body: bytes,
    heard: Callable[[bytes], None],
    timeout_s: float,
) -> None:
    way = route(view.host, target)
    answer = converse(way, f"cd / && exec {command}", body, timeout_s, heard)
    if not answer.reached:
        fix = "see that it is up: `fleet status`"
        raise FleetError.of(view.host.name, f"cannot be reached: {answer.stderr}", fix)
    if answer.code:
        fault = answer.stderr or f"its program ended with {answer.code}"
        raise FleetError.of(view.host.name, fault, "")


def _who(view: HostView) -> str:
    """In whose name: as they are called here, and as they log in there."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "somebody"
    return f"{name} as {view.host.ssh.user}"


def blocked(target: Target) -> tuple[dict[str, Any], ...]:
    """The workers that the quarantine keeps out, as orchestrator/quarantine/reports.py lists them.

    Raises FleetError.
    """
    return tuple(ask(target, "blocked")["blocked"])


def _config_path(view: HostView, verb: str) -> str:
    if verb in ("api", "follow", "health"):
        return page.config_path(view)
    if verb == "restore":
        return backup.config_path(view)
    quarantined = verb in ("blocked", "unblock")
    return quarantine.config_path(view) if quarantined else gateway.config_path(view)


def _run(target: Target, arguments: tuple[str, ...], timeout_s: float) -> Answer:
    """As the account that may talk to the services and to agents, and may do nothing else."""
    view = view_of(target, target.fleet.orchestrator.name)
    command = _command(view, arguments)
    return as_root(route(view.host, target), f"cd /\nexec {command}\n", timeout_s)


def _command(view: HostView, arguments: tuple[str, ...]) -> str:
    user = ("sudo", "-n", "-u", view.settings.orchestrator_user, "--")
    return shlex.join((*user, *_program(view, arguments)))


def _program(view: HostView, arguments: tuple[str, ...]) -> tuple[str, ...]:
    return (
        *("/usr/bin/python3", "-IB", orchestrator_program(view).path),
        *(arguments[:1]),
        *("--config", _config_path(view, arguments[0])),
        *(arguments[1:]),
    )
