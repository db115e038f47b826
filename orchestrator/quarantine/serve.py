"""The quarantine's process: what the fleet reaches, what lets workers in again, and the keeper."""

from __future__ import annotations

import asyncio
import logging
import sqlite3

from orchestrator.configuration import ConfigError
from orchestrator.quarantine.admin import Admin
from orchestrator.quarantine.config import Config
from orchestrator.quarantine.keeper import Keeper
from orchestrator.quarantine.notes import Notes
from orchestrator.quarantine.reports import Reports
from orchestrator.serving import serve_doors, tcp_door, unix_door

log = logging.getLogger("quarantine")
MOST = 64  # connections at a time


def serve(config: Config) -> int:
    """Serve until told to end; returns the exit code. Raises ConfigError when it cannot begin."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        notes = Notes(config.notes)
    except sqlite3.Error as error:
        raise ConfigError(f"{config.notes}: {error}: nothing could be noted") from None
    try:
        asyncio.run(_serve(config, notes))
    finally:
        notes.close()
    return 0


async def _serve(config: Config, notes: Notes) -> None:
    keeper = Keeper(config, notes)
    doors = (
        (tcp_door(config.listen, config.port), Reports(keeper).app()),
        (unix_door(config.socket), Admin(keeper).app()),
    )
    log.info("listening on %s port %s", config.listen, config.port)
    try:
        async with asyncio.TaskGroup() as group:  # without its keeper it is of no use, and ends
            keeping = group.create_task(keeper.run())
            await serve_doors(doors, MOST)
            keeping.cancel()
    finally:
        config.socket.unlink(missing_ok=True)
