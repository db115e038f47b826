"""A Messages API of a test's own, on loopback: answers what the request's prompt asks for."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECES = 20


def events(prompt: dict[str, Any], model: str) -> Iterator[bytes]:
    """An answer as server-sent events; its usage is what the prompt says."""
    start = {"input_tokens": prompt.get("input", 1000), "output_tokens": 1}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "usage": start,
    }
    yield _event("message_start", {"message": message})
    yield _event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
    for number in range(prompt.get("pieces", PIECES)):
        delta = {"type": "text_delta", "text": f"piece {number} of “{prompt.get('say', '')}” "}
        yield _event("content_block_delta", {"index": 0, "delta": delta})
    yield _event("content_block_stop", {"index": 0})
    usage = {"output_tokens": prompt.get("output", 100)}
    yield _event("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": usage})
    yield _event("message_stop", {})


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


class _Server(ThreadingHTTPServer):
    request_queue_size = 256  # a hundred come at once


class Upstream:
    """The server, and what it was asked."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answers: list[bytes] = []
        handler = type("Handler", (_Handler,), {"upstream": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: Upstream

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self.upstream.requests.append({"path": self.path, "headers": dict(self.headers)})
        self._whole(b'{"data": []}')

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        asked = json.loads(body)
        self.upstream.requests.append(
            {"path": self.path, "headers": dict(self.headers), "body": body}
        )
        prompt = json.loads(asked["messages"][-1]["content"])
        if status := prompt.get("status"):
            self._whole(b'{"type": "error"}', status)
        elif asked.get("stream"):
            self._stream(prompt, asked["model"])
        else:
            usage = {"input_tokens": prompt.get("input", 1000), "output_tokens": 100}
            self._whole(json.dumps({"type": "message", "usage": usage}).encode())

    def _whole(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("Request-Id", "req_1")
        if "gzip" in self.headers.get("accept-encoding", ""):
            body = gzip.compress(body)
            self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, prompt: dict[str, Any], model: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        if encoding := prompt.get("encoding"):
            self.send_header("content-encoding", encoding)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        whole = b"".join(events(prompt, model))
        if prompt.get("encoding") == "gzip":
            whole = gzip.compress(whole)
        self.upstream.answers.append(whole)
        size = max(1, len(whole) // prompt.get("chunks", 10))
        for at in range(0, len(whole), size):
            piece = whole[at : at + size]
            try:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
            except OSError:
                self.close_connection = True
                return
            time.sleep(prompt.get("pause", 0))
        self.wfile.write(b"0\r\n\r\n")
