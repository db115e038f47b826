"""The bit of ASGI that the gateway speaks itself: answers whose bytes and headers are its own."""

from __future__ import annotations

import json
from typing import Any

from starlette.types import Receive, Scope, Send

BODY_LIMIT = 64 << 20  # bytes of a request; the API itself takes 32 MB


class TooLargeError(Exception):
    """A request is longer than BODY_LIMIT."""


class GoneError(Exception):
    """Whoever asked has hung up."""


async def read_body(receive: Receive) -> bytes:
    """The whole body of a request."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            raise TooLargeError
        if not message.get("more_body", False):
            return bytes(body)


def header(scope: Scope, name: bytes) -> str:
    """The value of a request's header; empty without it."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


async def answer(send: Send, status: int, content: Any) -> None:  # noqa: ANN401 - JSON
    """Answer with JSON."""
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def refuse(send: Send, status: int, kind: str, message: str) -> None:
    """Answer with an error in the API's own form, which Claude Code shows to its user."""
    await answer(send, status, {"type": "error", "error": {"type": kind, "message": message}})
