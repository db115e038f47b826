"""A fake Messages API for benchmarks, and a client, that cost next to nothing: bare asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

MODEL = "claude-sonnet-4-5"


@contextlib.asynccontextmanager
async def fake_api(answer: Callable[[], Iterable[bytes]], pause_s: float) -> AsyncIterator[str]:
    """Answer every request with these pieces, a pause before each; yields the address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await _request(reader):
                await _respond(answer(), pause_s, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=256)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _respond(pieces: Iterable[bytes], pause_s: float, writer: asyncio.StreamWriter) -> None:
    lines = ["HTTP/1.1 200 OK", "content-type: text/event-stream; charset=utf-8"]
    writer.write("\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode())
    coming = iter(pieces)
    await asyncio.sleep(pause_s)
    while (piece := next(coming, None)) is not None:  # made when it is sent: it may state the time
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
        await asyncio.sleep(pause_s)
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _request(reader: asyncio.StreamReader) -> bool:
    """Read a request; False when there is none any more."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    except asyncio.IncompleteReadError:
        return False
    lengths = [line for line in head.split("\r\n") if line.startswith("content-length:")]
    await reader.readexactly(int(lengths[0].partition(":")[2]) if lengths else 0)
    return True


async def fetch(
    url: str, headers: Mapping[str, str], body: bytes, arrived: Callable[[bytes], None]
) -> int:
    """Post a call and hand on each piece of its body as it arrives; returns the status.

    A client that costs next to nothing, for many calls at once.
    """
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    said = {**headers, "host": where.netloc, "content-length": str(len(body))}
    lines = [f"POST {where.path} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items())]
    writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode() + body)
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        while size := int(await reader.readuntil(b"\r\n"), 16):
            arrived((await reader.readexactly(size + 2))[:-2])
    finally:
        writer.close()
    return int(head.split(b" ")[1])


def events(
    usage: Mapping[str, Any], text: Iterable[str] = ("All is ", "well."), model: str = MODEL
) -> list[bytes]:
    """Return a streamed message's events; `usage` is what it says at its end."""
    begun = {**usage, "output_tokens": 1}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "usage": begun,
    }
    block = {"type": "text", "text": ""}
    found: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": piece},
            }
            for piece in text
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": dict(usage)},
        {"type": "message_stop"},
    ]
    return [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in found]
