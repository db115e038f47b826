"""The orchestrator's programs by name: its services, and what talks to them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import Any

from orchestrator import backup, sessions
from orchestrator import config as orchestrator
from orchestrator.backup import BackupError
from orchestrator.client import (
    Gateway,
    GatewayError,
    Page,
    Quarantine,
    ServiceError,
    words_of,
)
from orchestrator.config import read_config as read_page
from orchestrator.configuration import ConfigError
from orchestrator.follow import follow
from orchestrator.gateway.config import Config, read_config
from orchestrator.health import by_hand, monitor
from orchestrator.health.by_hand import RoundError
from orchestrator.health.monitor import read_config as read_monitor
from orchestrator.quarantine import config as quarantine
from orchestrator.sessions import AgentError, Agents

ERROR, NO_SUCH, USAGE, INTERRUPTED = 1, 4, 64, 130
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of them; returns the exit code. What is found goes to standard output as JSON."""
    try:
        asked = _parser().parse_args(arguments)
    except SystemExit as end:
        return 0 if end.code == 0 else USAGE
    try:
        return int(asked.run(asked, asked.read(asked.config)))
    except (ConfigError, ServiceError, AgentError, BackupError, RoundError) as error:
        print(error, file=sys.stderr)
        return ERROR
    except (KeyboardInterrupt, BrokenPipeError):  # nobody listens any more
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="orchestrator.pyz", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    gateway = verbs.add_parser("gateway", help="meter what agents ask the API, until told to end")
    gateway.add_argument("config", type=Path, help="gateway.json")
    gateway.set_defaults(run=_gateway, read=read_config)
    budget = _client(verbs, "budget", _budget, "what agents have spent")
    budget.add_argument("--days", type=int, default=1)
    kill = _client(verbs, "kill", _kill, "revoke the sessions of hosts, at once")
    kill.add_argument("--all", action="store_true")
    kill.add_argument("hosts", nargs="*", metavar="HOST")
    session = _client(verbs, "session", _session, "begin new sessions")
    session.add_argument("what", choices=["new"])
    session.add_argument("hosts", nargs="+", metavar="HOST")
    keeper = verbs.add_parser("quarantine", help="keep reported workers out, until told to end")
    keeper.add_argument("config", type=Path, help="quarantine.json")
    keeper.set_defaults(run=_quarantine, read=quarantine.read_config)
    page = verbs.add_parser("orchestrator", help="show the page and do tasks, until told to end")
    page.add_argument("config", type=Path, help="orchestrator.json")
    page.set_defaults(run=_orchestrator, read=read_page)
    api = _client(verbs, "api", _api, "ask the page's API; a body on standard input", read_page)
    api.add_argument("--who", default="", help="in whose name")
    api.add_argument("--type", default="application/json", help="what the body is")
    api.add_argument("method", choices=METHODS)
    api.add_argument("path", metavar="PATH", type=_path)
    watch = _client(verbs, "follow", _follow, "what happens to a task, until it ends", read_page)
    watch.add_argument("--who", default="", help="in whose name")
    watch.add_argument("task", type=int)
    _client(verbs, "backup", _backup, "bring a backup to its host", backup.read_config)
    back = _client(verbs, "restore", _restore, "put one in place", backup.read_config)
    back.add_argument("--force", action="store_true", help="though newer tasks are lost")
    _client(verbs, "health", _health, "what is seen of the fleet from here", read_page)
    outside = _client(verbs, "outside", _outside, "the same, for the monitoring", read_page)
    outside.add_argument("--to", type=Path, required=True, help="the file that it reads")
    _client(verbs, "monitor", _monitor, "one round of the monitoring", read_monitor)
    _client(verbs, "monitor-failed", _monitor_failed, "tell that one failed", read_monitor)
    now = _client(verbs, "health-check", _health_check, "a round now, shown", read_monitor)
    now.add_argument("--json", action="store_true", help="as JSON")
    _client(verbs, "blocked", _blocked, "which workers are blocked", quarantine.read_config)
    unblock = _client(verbs, "unblock", _unblock, "let a worker in again", quarantine.read_config)
    unblock.add_argument("worker", metavar="HOST")
    return parser


def _client(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[..., int],
    text: str,
    read: Callable[[Path], object] = read_config,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text)
    parser.add_argument("--config", type=Path, required=True, help="what its service reads")
    parser.set_defaults(run=run, read=read)
    return parser


def _health(asked: argparse.Namespace, config: orchestrator.Config) -> int:
    from orchestrator.health.gather import gather

    return _say(asdict(gather(config)))


def _outside(asked: argparse.Namespace, config: orchestrator.Config) -> int:
    from orchestrator.health.gather import keep

    keep(config, asked.to)
    return 0


def _monitor(asked: argparse.Namespace, config: monitor.Config) -> int:
    return monitor.run(config)


def _monitor_failed(asked: argparse.Namespace, config: monitor.Config) -> int:
    return monitor.failed(config)


def _health_check(asked: argparse.Namespace, config: monitor.Config) -> int:
    return by_hand.run(config, as_json=asked.json)


def _gateway(asked: argparse.Namespace, config: Config) -> int:
    from orchestrator.gateway.serve import serve  # the others need no server

    return serve(config)


def _budget(asked: argparse.Namespace, config: Config) -> int:
    return _say(Gateway(config.socket).budget(asked.days))


def _kill(asked: argparse.Namespace, config: Config) -> int:
    if bool(asked.hosts) is asked.all:
        print("name hosts, or say --all", file=sys.stderr)
        return USAGE
    return _say(Gateway(config.socket).kill(asked.hosts or None))


def _session(asked: argparse.Namespace, config: Config) -> int:
    """One host after the other; one that fails leaves the others to begin."""
    gateway, agents = Gateway(config.socket), Agents.read(asked.config.with_name("agents.json"))
    begun, failed = {}, {}
    for host in asked.hosts:
        try:
            begun[host] = sessions.begin(gateway, agents, host)
        except (GatewayError, AgentError) as error:
            failed[host] = str(error)
            print(error, file=sys.stderr)
    _say({"begun": begun, "failed": failed})
    return ERROR if failed else 0


def _quarantine(asked: argparse.Namespace, config: quarantine.Config) -> int:
    from orchestrator.quarantine.serve import serve  # the others need no server

    return serve(config)


def _orchestrator(asked: argparse.Namespace, config: orchestrator.Config) -> int:
    from orchestrator.serve import serve  # the others need no server

    return serve(config)


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError("begin it with /, and quote what is no ASCII")
    return text


def _api(asked: argparse.Namespace, config: orchestrator.Config) -> int:
    """What the page answers goes out as it comes; what it refuses is said on standard error."""
    body = b"" if asked.method == "GET" else sys.stdin.buffer.read()
    page = Page(config.socket, asked.who)
    with page.ask(asked.method, asked.path, body, asked.type) as response:
        if response.is_error:
            print(words_of(response.read()), file=sys.stderr)
            return NO_SUCH if response.status_code == HTTPStatus.NOT_FOUND else ERROR
        for piece in response.iter_raw():
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    return 0


def _follow(asked: argparse.Namespace, config: orchestrator.Config) -> int:
    for news in follow(Page(config.socket, asked.who), asked.task):
        print(json.dumps(news) if news else "", flush=True)
    return 0


def _backup(asked: argparse.Namespace, config: backup.Config) -> int:
    return _say({"made": backup.back_up(config), "host": config.host})


def _restore(asked: argparse.Namespace, config: backup.Config) -> int:
    content = sys.stdin.buffer.read()
    return _say(backup.restore(config, content, backup.systemctl, force=asked.force))


def _blocked(asked: argparse.Namespace, config: quarantine.Config) -> int:
    return _say(Quarantine(config.socket).blocked())


def _unblock(asked: argparse.Namespace, config: quarantine.Config) -> int:
    return _say(Quarantine(config.socket).unblock(asked.worker))


def _say(found: dict[str, Any]) -> int:
    print(json.dumps(found))
    return 0
