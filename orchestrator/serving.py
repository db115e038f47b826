"""How the orchestrator's services listen: several doors in one loop, and an end in good order."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from orchestrator.configuration import ConfigError

FAREWELL_S = 5  # for answers under way when it is told to end
SOCKET_MODE = 0o660


async def serve_doors(
    doors: Sequence[tuple[socket.socket, ASGIApp]], most: int | None = None
) -> None:
    """Serve an application on each socket until the process is told to end.

    Of connections beyond `most` each gets a 503.
    """
    servers = [_Server(app, most) for _, app in doors]
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, servers)
    async with asyncio.TaskGroup() as group:
        for server, (door, _) in zip(servers, doors, strict=True):
            group.create_task(server.serve(sockets=[door]))


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever runs several of them."""

    def __init__(self, app: ASGIApp, most: int | None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                log_level="warning",
                lifespan="off",
                proxy_headers=False,  # who asks is who connects, whatever a header says
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=FAREWELL_S,
                ws="none",
                limit_concurrency=most,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _end(servers: list[_Server]) -> None:
    for server in servers:
        server.should_exit = True


def tcp_door(listen: str, port: int) -> socket.socket:
    """A socket at that address. Raises ConfigError."""
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    # Only where the protocol is stated does asyncio send small answers at once (TCP_NODELAY): the
    # second answer over a connection would wait 40 ms for an acknowledgement.
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((listen, port))
    except OSError as error:
        raise ConfigError(f"{listen} port {port}: {error.strerror}") from None
    return door


def unix_door(path: Path) -> socket.socket:
    """Never open to more than its group, not even for a moment. Raises ConfigError."""
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        door.bind(str(path))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    finally:
        os.umask(before)
    path.chmod(SOCKET_MODE)
    return door
