"""Reads server-sent events (the event stream format of the HTML standard), within limits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

LINE_LIMIT = 4 << 20  # bytes; a message of an agent is one line
EVENT_LIMIT = 8 << 20


class OddStreamError(Exception):
    """A line or an event is longer than anybody needs."""


@dataclass(frozen=True)
class Event:
    """One event; `kind` is `message` where it says none."""

    kind: str
    data: str


async def events(pieces: AsyncIterator[bytes]) -> AsyncGenerator[Event, None]:
    """The events in what comes; comments and fields that are not needed count for nothing.

    Raises OddStreamError.
    """
    kind, data, size = "", list[str](), 0
    async for line in _lines(pieces):
        if not line:
            if data:
                yield Event(kind or "message", "\n".join(data))
            kind, data, size = "", [], 0
            continue
        size += len(line) + 1
        if size > EVENT_LIMIT:
            raise OddStreamError("an event has no end")
        name, _, value = line.partition(":")
        if name == "event":
            kind = value.removeprefix(" ")
        elif name == "data":
            data.append(value.removeprefix(" "))


async def _lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The lines, without their ends: LF or CRLF, which is all that servers write."""
    waiting = bytearray()
    async for piece in pieces:
        start = len(waiting)
        waiting += piece
        while (end := waiting.find(b"\n", start)) >= 0:
            yield bytes(waiting[:end]).removesuffix(b"\r").decode("utf-8", "replace")
            del waiting[: end + 1]
            start = 0
        if len(waiting) > LINE_LIMIT:
            raise OddStreamError("a line of its events has no end")
