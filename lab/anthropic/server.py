"""The Messages API of one lab: a web server on this machine's address in the lab's LAN.

It covers what Claude Code and the gateway ask: /v1/messages, streamed or not, compressed when that
is asked for; counting tokens, roughly; an empty list of models. It checks the key, and of a request
nothing but that it is an object; it thinks, caches and searches nothing, knows no limits of rate or
length, and takes no bearer token as a subscription has.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lab.anthropic import replies

CONFIG, REQUESTS = "config.json", "requests.jsonl"
VERSION_PATH = "/lab/version"
MODELS_PATH = "/v1/models"
MODELS = {"data": [], "has_more": False, "first_id": None, "last_id": None}


def code_version() -> str:
    """The digest of this package: a process that runs older code is started anew."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def serve(folder: Path) -> None:
    """Answer until the process is ended."""
    config = json.loads((folder / CONFIG).read_text())
    key = (folder / "key").read_text().strip()
    handler = type("Handler", (_Handler,), {"folder": folder, "key": key, "lock": threading.Lock()})
    _Server((config["address"], config["port"]), handler).serve_forever()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # many agents may come at once

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as there
        """Log what went wrong, but for a caller that is gone: sessions are killed in mid-stream."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a stream's pieces go out as they come
    folder: Path
    key: str
    lock: threading.Lock

    def log_message(self, *_: object) -> None:
        """Quiet: what is asked is in REQUESTS."""

    def do_HEAD(self) -> None:
        """Something answers here."""
        self._answer(200, b"")

    def do_GET(self) -> None:
        """The list of models, and the lab's own question."""
        if self.path == VERSION_PATH:
            self._answer(200, code_version().encode())
        elif self._allowed():
            if self.path.partition("?")[0] == MODELS_PATH:
                self._json(200, MODELS)
            else:
                self._error(404, "not_found_error", f"the lab has no {self.path}")

    def do_POST(self) -> None:
        """A call."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if not self._allowed():
            return
        try:
            request = json.loads(body)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            self._error(400, "invalid_request_error", "the body is no JSON object")
            return
        path = self.path.partition("?")[0]
        if path == "/v1/messages/count_tokens":
            self._json(200, {"input_tokens": -(-len(body) // 4)})
        elif path == "/v1/messages":
            self._message(request)
        else:
            self._error(404, "not_found_error", f"the lab has no {path}")

    def _allowed(self) -> bool:
        if self.headers.get("x-api-key") == self.key:
            return True
        self._error(401, "authentication_error", "invalid x-api-key")
        return False

    def _message(self, request: dict[str, Any]) -> None:
        answer, model = replies.reply(request), str(request.get("model"))
        self._note(request, answer, model)
        if not request.get("stream"):
            time.sleep(answer.seconds)
            self._json(200, replies.whole(answer, model))
            return
        packer = self._packer()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("request-id", "req_lab")
        if packer:
            self.send_header("content-encoding", "gzip")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        pieces = list(replies.events(answer, model))
        for piece in pieces:
            self._chunk(_packed(packer, piece) if packer else piece)
            time.sleep(answer.seconds / len(pieces))
        if packer:
            self._chunk(packer.flush())
        self.wfile.write(b"0\r\n\r\n")

    def _packer(self) -> Any:  # noqa: ANN401 - zlib's own type has no name
        if "gzip" not in self.headers.get("accept-encoding", ""):
            return None
        return zlib.compressobj(wbits=zlib.MAX_WBITS | 16)

    def _chunk(self, data: bytes) -> None:
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

    def _note(self, request: dict[str, Any], answer: replies.Reply, model: str) -> None:
        seen = {
            "time": time.time(),
            "from": self.client_address[0],
            "model": model,
            "prompt": replies.prompt_of(request)[:500],
            "used": answer.used,
            "session": self.headers.get("x-claude-code-session-id", ""),
        }
        with self.lock, (self.folder / REQUESTS).open("a") as file:
            file.write(json.dumps(seen) + "\n")

    def _error(self, status: int, kind: str, words: str) -> None:
        self._json(status, {"type": "error", "error": {"type": kind, "message": words}})

    def _json(self, status: int, content: Any) -> None:  # noqa: ANN401 - JSON
        self._answer(status, json.dumps(content).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        if kind != "text/plain" and "gzip" in self.headers.get("accept-encoding", ""):
            body = gzip.compress(body)
            self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _packed(packer: Any, piece: bytes) -> bytes:  # noqa: ANN401 - zlib's own type has no name
    """The piece, compressed, such that it can be read before the next one comes."""
    done: bytes = packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
    return done
