"""The HTTP half: AgentAPI's endpoints, its checks and the form of its errors."""

from __future__ import annotations

import email.message
import email.parser
import email.policy
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .conversation import NOT_STABLE, Conversation, NotStableError
from .flags import parse
from .terminal import Terminal

BODY_LIMIT = 10 << 20
POLL_S = 0.25
KINDS = ("user", "raw")
METHODS = {
    "/status": "GET",
    "/messages": "GET",
    "/events": "GET",
    "/message": "POST",
    "/upload": "POST",
}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, text: str, *values: object) -> None:
        """What went wrong, as a line on standard error."""
        if len(values) > 1 and str(values[1]).startswith("2"):
            return
        print(f"{datetime.now(UTC):%H:%M:%S} {text % values}", file=sys.stderr, flush=True)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - Python's own
        """Every method there is: those that are not meant are refused as AgentAPI does."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        body = self._body()
        if not self._host_allowed():
            allowed = ", ".join(self.server.allowed)
            self._answer(
                400, f"Invalid host header. Allowed hosts: {allowed}\n".encode(), "text/plain"
            )
            return
        path = self.path.partition("?")[0]
        if path not in METHODS:
            self._problem(404, "Not Found")
        elif self.command != METHODS[path]:
            self._problem(405, "Method Not Allowed")
        elif body is None:
            self._problem(413, "Request Entity Too Large")
        else:
            getattr(self, f"_{path[1:]}")(body)

    def _body(self) -> bytes | None:
        length = self.headers.get("content-length", "0")
        size = int(length) if length.isdigit() else 0
        if size > BODY_LIMIT:
            self.close_connection = True
            return None
        return self.rfile.read(size)

    def _host_allowed(self) -> bool:
        host = self.headers.get("host", "")
        name = host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]
        return "*" in self.server.allowed or name.lower() in self.server.allowed

    def _status(self, body: bytes) -> None:
        with self.server.talk.lock:  # a message that is being sent holds it up
            status = self.server.talk.status()
        said = {"status": status, "agent_type": self.server.kind, "transport": "pty"}
        self._json(200, "StatusResponseBody", said)

    def _messages(self, body: bytes) -> None:
        self._json(200, "MessagesResponseBody", {"messages": self.server.talk.messages()})

    def _message(self, body: bytes) -> None:
        kind = self.headers.get_content_type()
        if "content-type" in self.headers and kind not in (
            "application/json",
            "application/problem+json",
        ):
            self._problem(415, "Unsupported Media Type", f"unknown media type: {kind}")
            return
        try:
            asked = json.loads(body)
        except ValueError as error:
            status = 400 if body else 422
            self._problem(status, "Bad Request", str(error) if body else "request body is required")
            return
        if faults := _faults(asked):
            self._problem(422, "Unprocessable Entity", "validation failed", faults)
            return
        try:
            if asked["type"] == "raw":
                self.server.talk.press(asked["content"])
            else:
                self.server.talk.say(asked["content"])
        except NotStableError:
            self._problem(
                500, "Internal Server Error", "failed to send message", [{"message": NOT_STABLE}]
            )
            return
        self._json(200, "MessageResponseBody", {"ok": True})

    def _upload(self, body: bytes) -> None:
        part = _file_of(self.headers.get("content-type", ""), body)
        if part is None:
            self._problem(
                422, "Unprocessable Entity", "validation failed", [{"message": "file required"}]
            )
            return
        folder = Path(tempfile.mkdtemp(prefix="agentapi-"))
        name = Path(part.get_filename() or "upload").name or "upload"
        (folder / name).write_bytes(part.get_payload(decode=True) or b"")  # type: ignore[arg-type]
        self._json(200, "UploadResponseBody", {"ok": True, "filePath": str(folder / name)})

    def _events(self, body: bytes) -> None:
        """Everything so far, then what comes, until the listener is gone."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        seen: dict[int, str] = {}
        status, number = "", 0
        try:
            while True:
                for message in [dict(one) for one in self.server.talk.messages()]:
                    if seen.get(message["id"]) != message["content"]:
                        seen[message["id"]] = message["content"]
                        data = {"id": message["id"], "role": message["role"]}
                        data |= {"message": message["content"], "time": message["time"]}
                        number = self._event(number, "message_update", data)
                if (now := self.server.talk.status()) != status:
                    status = now
                    data = {"status": now, "agent_type": self.server.kind}
                    number = self._event(number, "status_change", data)
                self.wfile.flush()
                time.sleep(POLL_S)
        except OSError:
            return

    def _event(self, number: int, kind: str, data: dict[str, Any]) -> int:
        text = f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"
        self.wfile.write(text.encode())
        return number + 1

    def _problem(
        self, status: int, title: str, detail: str = "", errors: list[dict[str, str]] | None = None
    ) -> None:
        said: dict[str, Any] = {"title": title, "status": status}
        said |= {"detail": detail} if detail else {}
        said |= {"errors": errors} if errors else {}
        self._json(status, "ErrorModel", said, "application/problem+json")

    def _json(
        self, status: int, schema: str, said: dict[str, Any], kind: str = "application/json"
    ) -> None:
        host = self.headers.get("host", "localhost")
        whole = {"$schema": f"http://{host}/schemas/{schema}.json", **said}
        self._answer(status, json.dumps(whole).encode(), kind)

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        if status == 405:
            self.send_header("allow", METHODS.get(self.path.partition("?")[0], "GET"))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _faults(asked: Any) -> list[dict[str, str]]:  # noqa: ANN401 - from outside
    if not isinstance(asked, dict):
        return [{"message": "expected object", "location": "body"}]
    faults = []
    for name in ("content", "type"):
        if name not in asked:
            faults.append(
                {"message": f"expected required property {name} to be present", "location": "body"}
            )
        elif not isinstance(asked[name], str):
            faults.append({"message": "expected string", "location": f"body.{name}"})
    if not faults and asked["type"] not in KINDS:
        faults.append(
            {"message": 'expected value to be one of "user, raw"', "location": "body.type"}
        )
    faults += [
        {"message": "unexpected property", "location": f"body.{name}"}
        for name in sorted(set(asked) - {"content", "type", "$schema"})
    ]
    return faults


def _file_of(content_type: str, body: bytes) -> email.message.Message | None:
    if not content_type.startswith("multipart/form-data"):
        return None
    head = f"content-type: {content_type}\r\n\r\n".encode()
    parsed = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    for part in parsed.walk():
        if part.get_param("name", header="content-disposition") == "file":
            return part
    return None


class Server(ThreadingHTTPServer):
    """Listens on every interface, as AgentAPI does: who may come is the firewall's business."""

    daemon_threads = True
    allow_reuse_address = True
    address_family = socket.AF_INET6

    def __init__(self, port: int, allowed: Sequence[str], kind: str, talk: Conversation) -> None:
        super().__init__(("::", port), Handler)
        self.allowed = [name.lower() for name in allowed]
        self.kind, self.talk = kind, talk


def main(arguments: Sequence[str]) -> int:
    """Run until the agent ends or we are told to; returns the agent's exit code."""
    asked = parse(arguments)
    prompt = asked.initial_prompt or ("" if sys.stdin.isatty() else sys.stdin.read().strip())
    terminal = Terminal(asked.command, asked.term_width, asked.term_height)
    talk = Conversation(terminal, Path(asked.state_file) if asked.state_file else None)
    server = Server(asked.port, asked.allowed_hosts, asked.type, talk)
    if asked.pid_file:
        Path(asked.pid_file).write_text(f"{os.getpid()}\n")
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _: told.append(received))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(
        f"agentapi (the lab's) on port {server.server_address[1]}: {' '.join(asked.command)}",
        file=sys.stderr,
        flush=True,
    )
    if prompt:
        threading.Thread(target=_first, args=(talk, prompt), daemon=True).start()
    talk.watch(1.0, lambda: bool(told) or terminal.code is not None)
    if told:
        terminal.end()
        return 0
    print(f"the agent has ended with {terminal.code}", file=sys.stderr)
    return terminal.code or 0


def _first(talk: Conversation, prompt: str) -> None:
    while talk.status() != "stable":
        time.sleep(POLL_S)
    talk.say(prompt)
