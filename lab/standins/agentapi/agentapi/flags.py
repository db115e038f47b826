"""The command line of `agentapi server`: flags, their variables, and the agent's own command."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence

VERSION = "0.12.1"
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

    server.add_argument("--type", "-t", default=said("TYPE", "custom"))
    server.add_argument("--port", "-p", type=int, default=int(said("PORT", "3284")))
    server.add_argument("--chat-base-path", "-c", default=said("CHAT_BASE_PATH", "/chat"))
    server.add_argument("--term-width", "-W", type=int, default=int(said("TERM_WIDTH", "80")))
    server.add_argument("--term-height", "-H", type=int, default=int(said("TERM_HEIGHT", "1000")))
    hosts = listed("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
    server.add_argument("--allowed-hosts", "-a", type=_commas, default=hosts)
    origins = listed("ALLOWED_ORIGINS", PORTS)
    server.add_argument("--allowed-origins", "-o", type=_commas, default=origins)
    server.add_argument("--initial-prompt", "-I", default=said("INITIAL_PROMPT", ""))
    server.add_argument("--state-file", "-s", default=said("STATE_FILE", ""))
    server.add_argument("--load-state", default=said("LOAD_STATE", "true"))
    server.add_argument("--save-state", default=said("SAVE_STATE", "true"))
    server.add_argument("--pid-file", default=said("PID_FILE", ""))
    server.add_argument("words", nargs="*")
    found = parser.parse_args(ours)
    found.command = [*found.words, *command]
    if not found.command:
        parser.error("the agent's command is missing: agentapi server [flags] -- COMMAND")
    return found


def _commas(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
