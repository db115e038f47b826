"""Somebody who takes alerts: a server on this machine that keeps what it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Heard:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Sink:
    """What was heard; `status` is what it answers to each."""

    port: int = 0
    status: int = 200
    heard: list[Heard] = field(default_factory=list)

    def at(self, path: str) -> str:
        """An address."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def of(self, path: str) -> list[Heard]:
        """What was heard at one address."""
        return [one for one in self.heard if one.path == f"/{path}"]


@contextmanager
def sink() -> Iterator[Sink]:
    """A server for as long as the block lasts."""
    kept = Sink()

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            heard = Heard(self.command, self.path, dict(self.headers), body)
            kept.heard.append(heard)
            self.send_response(kept.status)
            self.send_header("location", kept.at("elsewhere"))
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_POST = _take  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()
