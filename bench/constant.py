"""The peer of the orchestrator's pages: a constant of any size, behind the same guard and server.

usage: python -m bench.constant PORT
"""

from __future__ import annotations

import asyncio
import sys

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from orchestrator.serving import serve_doors, tcp_door
from orchestrator.web.guard import Guard
from orchestrator.web.who import Door, Doorkeeper, Whois

HOST = "127.0.0.1"
TOKEN = "peer"  # noqa: S105 - guards nothing


async def constant(request: Request) -> HTMLResponse:
    """Answer as many bytes as are asked for."""
    return HTMLResponse(b"x" * request.path_params["size"])


async def main(port: int) -> None:
    """Serve until told to end."""
    app = Starlette(routes=[Route("/{size:int}", constant)])
    keeper = Doorkeeper({}, TOKEN, Whois(()))
    await serve_doors([(tcp_door(HOST, port), Guard(app, Door.LOOPBACK, keeper, (HOST,), port))])


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
