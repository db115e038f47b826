"""The command line of `agentapi server`: flags, their variables, and the agent's own command."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence

VERSION = "0.12.1"
KINDS = (
    *("claude", "goose", "aider", "codex", "gemini", "copilot", "amp", "cursor", "auggie"),
    *("amazonq", "opencode", "custom"),
)
PORTS = ("http://localhost:3284", "http://localhost:3000", "http://localhost:3001")


def parse(
    arguments: Sequence[str], environment: Mapping[str, str] = os.environ
) -> argparse.Namespace:
    """Return what was said; `command` is what stands behind `--`. Exits with 2 on wrong usage."""
    ours, command = list(arguments), []
    if "--" in ours:
        at = ours.index("--")
        ours, command = ours[:at], ours[at + 1 :]
    parser = argparse.ArgumentParser(prog="agentapi")
    parser.add_argument(
        "--version", "-v", action="version", version=f"agentapi {VERSION} (the lab's)"
    )
    verbs = parser.add_subparsers(required=True)
    server = verbs.add_parser("server")

    def listed(name: str, otherwise: Sequence[str]) -> list[str]:
        return environment.get(f"AGENTAPI_{name}", "").split() or list(otherwise)

    def said(name: str, otherwise: str) -> str:
        return environment.get(f"AGENTAPI_{name}", otherwise)

    server.add_argument("--type", "-t", default=said("TYPE", ""))
    server.add_argument("--port", "-p", type=int, default=said("PORT", "3284"))
    server.add_argument("--chat-base-path", "-c", default=said("CHAT_BASE_PATH", "/chat"))
    server.add_argument("--term-width", "-W", type=int, default=said("TERM_WIDTH", "80"))
    server.add_argument("--term-height", "-H", type=int, default=said("TERM_HEIGHT", "1000"))
    hosts = listed("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
    server.add_argument("--allowed-hosts", "-a", type=_commas, default=hosts)
    origins = listed("ALLOWED_ORIGINS", PORTS)
    server.add_argument("--allowed-origins", "-o", type=_commas, default=origins)
    server.add_argument("--initial-prompt", "-I", default=said("INITIAL_PROMPT", ""))
    server.add_argument("--state-file", "-s", default=said("STATE_FILE", ""))
    for name in ("--load-state", "--save-state"):
        variable = name[2:].replace("-", "_").upper()
        server.add_argument(name, nargs="?", type=_true, const=True, default=said(variable, "true"))
    server.add_argument("--pid-file", default=said("PID_FILE", ""))
    server.add_argument("words", nargs="*")
    found = parser.parse_args(ours)
    found.command = [*found.words, *command]
    if not found.command:
        parser.error("the agent's command is missing: agentapi server [flags] -- COMMAND")
    named = found.command[0] if found.command[0] in KINDS else "custom"
    found.type = found.type or named
    if found.type not in KINDS:
        parser.error(f"invalid agent type: {found.type}")
    for host in found.allowed_hosts:
        if fault := _host_fault(host):
            parser.error(f"failed to parse allowed hosts: {fault}")
    return found


def _host_fault(host: str) -> str:
    """What is wrong with an allowed host; a list in the wrong form looks like one odd name."""
    if re.search(r"[\s,]", host):
        return f"'{host}' contains whitespace or comma characters, which are not allowed"
    if "://" in host:
        return f"'{host}' must not include http:// or https://"
    if re.search(r"(?<=\]):|^[^\[]*:", host):
        return f"'{host}' must not include a port"
    return ""


def _true(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", "t", "f"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() in ("true", "1", "t")


def _commas(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
