"""What hosts ask, over HTTP since curl is on every host; each answer is lines until its end."""

from __future__ import annotations

import select
import socket
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

from lab.tailnet import sockets
from lab.tailnet.commands import Answer
from lab.tailnet.session import Session

LONGEST_S = 3600.0


class Tailscaled(Protocol):
    """What answers the hosts."""

    def connect(self, name: str, connection: socket.socket, state: str) -> Session:
        """Take a host's tailscaled in."""

    def disconnect(self, name: str, session: Session) -> None:
        """It is gone."""

    def command(self, name: str, user: int, key: str, words: list[str]) -> Answer:
        """Run a command line of a host."""


def answer(server: Tailscaled, name: str, connection: socket.socket) -> None:
    """Answer one request of a host."""
    with connection:
        _Request(connection, name, server)


class _Request(BaseHTTPRequestHandler):
    """One request. http.server's own types mean TCP: a name stands for the address here."""

    def __init__(self, connection: socket.socket, name: str, server: Tailscaled) -> None:
        self.name, self.tailscaled = name, server
        super().__init__(connection, (name, 0), None)  # type: ignore[arg-type]

    def do_POST(self) -> None:
        """Answer a tailscaled, which stays, or a command."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(200)
        self.end_headers()
        try:
            (self._daemon if self.path == "/daemon" else self._command)(body)
        except (BrokenPipeError, ConnectionResetError):
            return

    def _daemon(self, body: bytes) -> None:
        if sockets.peer_user(self.connection) != 0:
            return
        session = self.tailscaled.connect(self.name, self.connection, body.decode().strip())
        try:
            while self.connection.recv(1):  # it says nothing more; this ends when it does
                pass
        except OSError:
            pass
        finally:
            self.tailscaled.disconnect(self.name, session)

    def _command(self, body: bytes) -> None:
        key, *words = body.decode(errors="replace").split("\0")[:-1]
        user = sockets.peer_user(self.connection)
        answer = self.tailscaled.command(self.name, user, key, words)
        self._lines("o", answer.out)
        self._lines("e", answer.err)
        if answer.silence and not self._hangs_up(answer.silence):
            self._lines("e", answer.last)
        self._lines("x", [str(answer.code)])

    def _lines(self, kind: str, lines: list[str]) -> None:
        self.wfile.write("".join(f"{kind}{line}\n" for line in lines).encode())

    def _hangs_up(self, silence: float) -> bool:
        """Say nothing for a while; tell whether the command was ended meanwhile."""
        ready, _, _ = select.select([self.connection], [], [], min(silence, LONGEST_S))
        return bool(ready)

    def log_message(self, format: str, *words: Any) -> None:  # noqa: ANN401 - its signature
        """Say nothing of requests: commands are logged by what they are."""
