"""The orchestrator's process: the desk, and three doors to it."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import secrets
import sqlite3
import sys
from pathlib import Path

from orchestrator.config import Config
from orchestrator.configuration import ConfigError
from orchestrator.registry.rest import open_registry
from orchestrator.serving import serve_doors, tcp_door, unix_door
from orchestrator.sessions import AgentError
from orchestrator.tasks.desk import WorkDesk
from orchestrator.web.app import app, guarded
from orchestrator.web.who import Door, Doorkeeper, Whois

log = logging.getLogger("orchestrator")
LOOPBACK = "127.0.0.1"
MOST = 512  # connections at a time: every open page has one that stays
# How long the loop may keep the interpreter from the threads that read and write the database;
# Python's own 5 ms are waited for at every row of an answer while many agents talk.
SWITCH_S = 0.0005


def serve(config: Config) -> int:
    """Serve until told to end; returns the exit code. Raises ConfigError when it cannot begin."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log every question
    sys.setswitchinterval(SWITCH_S)
    try:
        asyncio.run(_serve(config))
    except sqlite3.Error as error:
        raise ConfigError(f"{config.database}: {error}") from None
    except AgentError as error:
        raise ConfigError(str(error)) from None
    return 0


async def _serve(config: Config) -> None:
    secret = token(config.token)
    keeper = Doorkeeper(config.operators, secret, Whois(config.tailscale))
    async with WorkDesk(config, open_registry) as desk:
        # Forms outlive the process: what somebody types while it restarts is not refused.
        application = app(desk, hmac.digest(secret.encode(), b"forms", "sha256"))
        doors = [
            (tcp_door(LOOPBACK, config.port), Door.LOOPBACK),
            (unix_door(config.socket), Door.SOCKET),
        ]
        if config.listen != LOOPBACK:  # that is what it is told before the address is known
            doors.append((tcp_door(config.listen, config.port), Door.TAILNET))
        log.info("listening on %s port %s", config.listen, config.port)
        try:
            await serve_doors(
                [(door, guarded(application, kind, keeper, config)) for door, kind in doors], MOST
            )
        finally:
            config.socket.unlink(missing_ok=True)


def token(path: Path) -> str:
    """The secret that opens the door on loopback, made where there is none. Raises ConfigError."""
    try:
        if not path.exists():
            new = path.with_suffix(".new")
            new.unlink(missing_ok=True)
            made = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(made, "w") as file:
                file.write(f"{secrets.token_urlsafe(32)}\n")
            new.replace(path)
        return path.read_text().strip()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
