"""The HTTP half: AgentAPI's endpoints, its checks and the form of its errors."""

from __future__ import annotations

import json
import select
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from . import forms
from .conversation import LOOK_S, Conversation, SendError
from .events import Feed, Screens
from .forms import Refused

JSON, PROBLEM, TEXT = "application/json", "application/problem+json", "text/plain; charset=utf-8"
ROUTES = {
    "/status": ("GET", "status"),
    "/messages": ("GET", "messages"),
    "/events": ("GET", "events"),
    "/internal/screen": ("GET", "screens"),
    "/message": ("POST", "message"),
    "/upload": ("POST", "upload"),
}
CORS = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, X-CSRF-Token",
    "Access-Control-Max-Age": "300",
}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, text: str, *values: object) -> None:
        """What was refused, as a line on standard error."""
        if len(values) > 1 and str(values[1]).startswith("2"):
            return
        print(f"{datetime.now(UTC):%H:%M:%S} {text % values}", file=sys.stderr, flush=True)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Every method there is leads to one place, where those that are not meant are refused."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        try:
            self._checked()
        except Refused as error:
            said: dict[str, Any] = {"title": HTTPStatus(error.status).phrase}
            said |= {"status": error.status, "detail": error.detail}
            self._json("ErrorModel", said | ({"errors": error.faults} if error.faults else {}))

    def _checked(self) -> None:
        body = self._body()
        if not self.server.allows(self.headers.get("host", "")):
            allowed = ", ".join(self.server.allowed)
            self._answer(400, f"Invalid host header. Allowed hosts: {allowed}\n".encode(), TEXT)
            return
        if self.command == "OPTIONS" and "access-control-request-method" in self.headers:
            self._answer(200, b"", "", CORS if self._cors() else {})
            return
        path = self.path.partition("?")[0]
        method, name = ROUTES.get(path, ("", ""))
        if not method:
            self._answer(404, b"404 page not found\n", TEXT)
        elif self.command != method:
            self._answer(405, b"", "", {"Allow": method})
        else:
            getattr(self, f"_{name}")(body)

    def _body(self) -> bytes:
        length = self.headers.get("content-length", "0")
        size = int(length) if length.isdigit() else 0
        limit = forms.MESSAGE_LIMIT
        if self.path.startswith("/upload"):
            limit = 2 * forms.UPLOAD_LIMIT  # the file's own limit has words of its own
        if size > limit or "transfer-encoding" in self.headers:
            self.close_connection = True
            raise Refused(413, f"request body is too large limit={limit} bytes")
        return self.rfile.read(size)

    def _cors(self) -> dict[str, str]:
        origin = self.headers.get("origin", "")
        known = self.server.origins
        if not origin or not ("*" in known or origin.lower() in known):
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Vary": "Origin",
        }

    def _status(self, _: bytes) -> None:
        said = {"status": self.server.talk.status(), "agent_type": self.server.kind}
        self._json("StatusResponseBody", {**said, "transport": "pty"})

    def _messages(self, _: bytes) -> None:
        self._json("MessagesResponseBody", {"messages": self.server.talk.messages()})

    def _message(self, body: bytes) -> None:
        kind, content = forms.message(self.headers.get("content-type", ""), body)
        try:
            if kind == "raw":
                self.server.talk.press(content)
            else:
                self.server.talk.say(content)
        except SendError as error:
            fault = {"message": f"failed to send message: {error}"}
            raise Refused(500, "unexpected error occurred", [fault]) from error
        self._json("MessageResponseBody", {"ok": True})

    def _upload(self, body: bytes) -> None:
        name, content = forms.upload(self.headers.get("content-type", ""), body)
        file = self.server.uploads / sha256(content).hexdigest()[:16] / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        except OSError as error:
            fault = {"message": f"failed to write file: {error}"}
            raise Refused(500, "unexpected error occurred", [fault]) from error
        self._json("UploadResponseBody", {"ok": True, "filePath": str(file)})

    def _events(self, _: bytes) -> None:
        self._stream(Feed(self.server.talk, self.server.kind))

    def _screens(self, _: bytes) -> None:
        self._stream(Screens(self.server.talk))

    def _stream(self, feed: Feed | Screens) -> None:
        """Tell a listener everything until it is gone."""
        self.close_connection = True
        headers = {"Cache-Control": "no-cache, no-store, must-revalidate", "Connection": "close"}
        self._head(200, "text/event-stream", headers)
        try:
            while True:
                self.wfile.write(b"".join(feed.news()))
                # a listener says nothing more: what can be read is that it has gone
                if select.select([self.connection], [], [], LOOK_S)[0]:
                    return
        except OSError:
            return

    def _json(self, schema: str, said: dict[str, Any]) -> None:
        host = self.headers.get("host", "localhost")
        whole = {"$schema": f"http://{host}/schemas/{schema}.json", **said}
        kind = PROBLEM if schema == "ErrorModel" else JSON
        status = int(said["status"]) if kind == PROBLEM else 200
        self._answer(status, json.dumps(whole).encode() + b"\n", kind)

    def _answer(
        self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self._head(status, kind, {"Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        typed = {"Content-Type": kind} if kind else {}
        for name, value in {**typed, **headers, **self._cors()}.items():
            self.send_header(name, value)
        self.end_headers()


class Server(ThreadingHTTPServer):
    """Listens on every interface, as AgentAPI does: who may come is the firewall's business."""

    daemon_threads = True
    allow_reuse_address = True
    address_family = socket.AF_INET6
    talk: Conversation  # set before the first request is served

    def __init__(
        self, port: int, allowed: Sequence[str], origins: Sequence[str], kind: str
    ) -> None:
        self.allowed = [forms.host_name(name) for name in allowed]
        self.origins = [origin.lower() for origin in origins]
        self.kind = kind
        self.uploads = Path(tempfile.mkdtemp(prefix="agentapi-uploads-"))
        super().__init__(("::", port), Handler)  # closes itself when the port is taken

    def allows(self, host: str) -> bool:
        """Whether a Host header names this server."""
        return "*" in self.allowed or forms.host_name(host) in self.allowed

    def server_close(self) -> None:
        """Stop listening, and forget what was uploaded."""
        super().server_close()
        shutil.rmtree(self.uploads, ignore_errors=True)
