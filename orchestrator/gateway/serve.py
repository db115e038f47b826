"""The gateway's process: what agents reach, and what may tell it to end their sessions."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import ssl
from pathlib import Path

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.configuration import ConfigError
from orchestrator.gateway.admin import Admin
from orchestrator.gateway.asgi import refuse
from orchestrator.gateway.book import Book
from orchestrator.gateway.config import Config
from orchestrator.gateway.gate import PREFIX, gate
from orchestrator.gateway.proxy import NO_LEDGER, Flights, Proxy
from orchestrator.serving import serve_doors, tcp_door, unix_door

log = logging.getLogger("gateway")
SILENCE_S = 600.0  # the API may think for minutes before it says a word
CONNECT_S = 10.0


def serve(config: Config) -> int:
    """Serve until told to end; returns the exit code. Raises ConfigError when it cannot begin."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    key = _key(config)
    try:
        book = Book(config.ledger)
    except sqlite3.Error as error:
        raise ConfigError(f"{config.ledger}: {error}: without a ledger nothing is paid") from None
    if book.orphans:
        log.warning("%s calls had no end when the gateway ended: charged in full", book.orphans)
    try:
        asyncio.run(_serve(config, book, key))
    finally:
        book.close()
    return 0


def _key(config: Config) -> str:
    """The secret that systemd gave this process alone."""
    path = Path(os.environ.get("CREDENTIALS_DIRECTORY", "")) / config.credential
    try:
        key = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: there is no key to pay with") from None
    if not key:
        raise ConfigError(f"{path}: is empty: there is no key to pay with")
    return key


async def _serve(config: Config, book: Book, key: str) -> None:
    flights = Flights()
    async with _client() as client:
        proxy = Proxy(config, book, client, key, flights)
        doors = (
            (tcp_door(config.listen, config.port), agents(proxy)),
            (unix_door(config.socket), Admin(config, book, flights).app()),
        )
        log.info(
            "listening on %s port %s, paying at %s", config.listen, config.port, config.upstream
        )
        try:
            await serve_doors(doors)
        finally:
            config.socket.unlink(missing_ok=True)


def _client() -> httpx.AsyncClient:
    """A client that adds nothing of its own, and takes nothing from the environment."""
    client = httpx.AsyncClient(
        verify=ssl.create_default_context(),
        trust_env=False,
        timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S, pool=None),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
    )
    client.headers.clear()
    return client


def agents(proxy: Proxy) -> ASGIApp:
    """The application that agents talk to."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if not scope["path"].startswith(PREFIX):
            await proxy(scope, receive, send)
            return
        try:
            await gate(proxy, scope, send)
        except sqlite3.Error as error:
            log.error("the ledger cannot be read: %s", error)
            await refuse(send, NO_LEDGER, "api_error", "budget: the ledger cannot be read")

    return app
