"""Reads from an answer what it used, while its bytes pass by unchanged."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

from orchestrator.gateway.prices import Usage

ENCODINGS = ("gzip", "identity")  # those that can be read here; "deflate" is sent in two ways
BODY_LIMIT = 64 << 20  # bytes of an answer that is no stream
_LINE_LIMIT = 16 << 20
_WEB = "web_search_requests"


class Meter(Protocol):
    """Takes the answer's bytes as they come from the wire."""

    def feed(self, raw: bytes) -> None:
        """Take some more."""

    def usage(self) -> Usage | None:
        """What is known to be used so far; None when the answer has not said anything of it."""


class Unreadable:
    """An answer in an encoding that cannot be read."""

    def feed(self, raw: bytes) -> None:
        """Nothing can be learned from it."""

    def usage(self) -> Usage | None:
        """Unknown."""
        return None


def meter(content_type: str, encoding: str) -> Meter:
    """The meter for an answer with these headers."""
    encoding = encoding.strip().lower() or "identity"
    if encoding not in ENCODINGS:
        return Unreadable()
    reader = _Events() if content_type.startswith("text/event-stream") else _Body()
    return reader if encoding == "identity" else _Unpacked(reader)


class _Unpacked:
    """What was compressed with gzip, read as if it were not."""

    def __init__(self, reader: Meter) -> None:
        self._reader = reader
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def feed(self, raw: bytes) -> None:
        try:
            self._reader.feed(self._inflate.decompress(raw))
        except zlib.error:
            self._reader = Unreadable()  # it is not what it says it is

    def usage(self) -> Usage | None:
        return self._reader.usage()


class _Body:
    """One JSON object."""

    def __init__(self) -> None:
        self._text = bytearray()

    def feed(self, raw: bytes) -> None:
        if len(self._text) <= BODY_LIMIT:
            self._text += raw

    def usage(self) -> Usage | None:
        try:
            said = json.loads(self._text).get("usage")
        except (ValueError, AttributeError):
            return None
        return _usage(said, Usage()) if isinstance(said, dict) else None


class _Events:
    """Server-sent events: usage comes with the first one, and again, cumulated, near the end.

    While the end has not come, what was written so far counts as output, a token a byte: never
    less than it is.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._usage: Usage | None = None
        self._written = 0
        self._final = False

    def feed(self, raw: bytes) -> None:
        *lines, self._rest = (self._rest + raw).split(b"\n")
        if len(self._rest) > _LINE_LIMIT:
            self._rest = b""
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line.removeprefix(b"data:"))

    def _event(self, data: bytes) -> None:
        try:
            said = json.loads(data)
        except ValueError:
            return
        if not isinstance(said, dict):
            return
        match said.get("type"):
            case "message_start":
                self._take((said.get("message") or {}).get("usage"))
            case "content_block_delta":
                self._written += sum(map(len, _texts(said.get("delta"))))
            case "message_delta":
                self._take(said.get("usage"))
                self._final = self._usage is not None

    def _take(self, said: Any) -> None:  # noqa: ANN401 - from outside
        if isinstance(said, dict):
            self._usage = _usage(said, self._usage or Usage())

    def usage(self) -> Usage | None:
        if self._usage is None or self._final:
            return self._usage
        return replace(self._usage, output=max(self._usage.output, self._written))


def _texts(delta: Any) -> Iterator[bytes]:  # noqa: ANN401 - from outside
    for value in delta.values() if isinstance(delta, dict) else ():
        if isinstance(value, str):
            yield value.encode()


def _usage(said: Mapping[str, Any], known: Usage) -> Usage:
    """What an object of the API's says; what it does not mention stays as it was known."""
    written = said.get("cache_creation_input_tokens")
    parts = said.get("cache_creation") or {}
    one_hour = _count(parts.get("ephemeral_1h_input_tokens"), 0)
    five = known.cache_write_5m if written is None else max(0, _count(written, 0) - one_hour)
    searches = (said.get("server_tool_use") or {}).get(_WEB)
    return Usage(
        input=_count(said.get("input_tokens"), known.input),
        output=_count(said.get("output_tokens"), known.output),
        cache_write_5m=five,
        cache_write_1h=known.cache_write_1h if not parts else one_hour,
        cache_read=_count(said.get("cache_read_input_tokens"), known.cache_read),
        web_searches=_count(searches, known.web_searches),
    )


def _count(value: Any, otherwise: int) -> int:  # noqa: ANN401 - from outside
    return value if isinstance(value, int) and value >= 0 else otherwise


def estimate(body: bytes, request: Mapping[str, Any]) -> Usage:
    """What a request may use, to hold it back: four bytes of prompt are about a token.

    Clients ask for far more output than they get (128,000 tokens, which would be a session's whole
    cap), so no more than usual is held back: see OUTPUT_HELD_BACK.
    """
    most = _count(request.get("max_tokens"), OUTPUT_HELD_BACK)
    return Usage(input=-(-len(body) // 4), output=min(most, OUTPUT_HELD_BACK))


OUTPUT_HELD_BACK = 8192  # tokens; few answers of Claude Code's are longer
