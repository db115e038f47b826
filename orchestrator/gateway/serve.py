"""The gateway's process: two servers in one loop, and an end in good order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.gateway.admin import Admin
from orchestrator.gateway.asgi import refuse
from orchestrator.gateway.book import Book
from orchestrator.gateway.config import Config, ConfigError
from orchestrator.gateway.gate import PREFIX, gate
from orchestrator.gateway.proxy import NO_LEDGER, Flights, Proxy

log = logging.getLogger("gateway")
FAREWELL_S = 5  # for answers under way when it is told to end
SILENCE_S = 600.0  # the API may think for minutes before it says a word
CONNECT_S = 10.0
SOCKET_MODE = 0o660


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
        doors = ((_tcp(config), agents(proxy)), (_unix(config), Admin(config, book, flights).app()))
        servers = [_Server(app) for _, app in doors]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _end, servers)
        log.info(
            "listening on %s port %s, paying at %s", config.listen, config.port, config.upstream
        )
        try:
            async with asyncio.TaskGroup() as group:
                for server, (door, _) in zip(servers, doors, strict=True):
                    group.create_task(server.serve(sockets=[door]))
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


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever runs several of them."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                log_level="warning",
                lifespan="off",
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=FAREWELL_S,
                ws="none",
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _end(servers: list[_Server]) -> None:
    for server in servers:
        server.should_exit = True


def _tcp(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.listen else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((config.listen, config.port))
    except OSError as error:
        raise ConfigError(f"{config.listen} port {config.port}: {error.strerror}") from None
    return door


def _unix(config: Config) -> socket.socket:
    """Never open to more than its group, not even for a moment."""
    config.socket.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        door.bind(str(config.socket))
    except OSError as error:
        raise ConfigError(f"{config.socket}: {error.strerror}") from None
    finally:
        os.umask(before)
    config.socket.chmod(SOCKET_MODE)
    return door
