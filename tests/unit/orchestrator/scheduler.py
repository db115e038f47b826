"""A scheduler's text console on loopback: says and does what icecream 1.4's does."""

from __future__ import annotations

import socketserver
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

GREETING = (
    "200-ICECC 1.4.0: 2s uptime, {} hosts, 0 jobs in queue (0 total).\n"
    "200 Use 'help' for help and 'quit' to quit.\n"
)


@dataclass(frozen=True)
class Daemon:
    """An iceccd: the name that it chose, and the address it comes from."""

    name: str
    address: str

    def matches(self, word: str) -> bool:
        return word in (self.name, self.address)


class Scheduler:
    """Runs in a thread; it can be stopped and started again, and has forgotten everything then."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self.daemons: list[Daemon] = []
        self.said: list[str] = []
        self.mute = False
        self._lock = threading.Lock()
        self._server: socketserver.ThreadingTCPServer | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        scheduler = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with suppress(ConnectionError):  # who goes without a farewell
                    self.talk()

            def talk(self) -> None:
                if scheduler.mute:
                    self.rfile.read()  # until the other side has enough
                    return
                self.wfile.write(GREETING.format(len(scheduler.daemons)).encode())
                for raw in self.rfile:
                    if raw.split() == [b"quit"]:
                        self.wfile.write(b"200 Good Bye!\n")
                        return
                    self.wfile.write(scheduler.answer(raw.decode()).encode())

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self.blocks.clear()
        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,)).start()

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def login(self, *daemons: Daemon) -> None:
        """They come, or come back; who is blocked is turned away."""
        with self._lock:
            self.daemons += [d for d in daemons if not any(map(d.matches, self.blocks))]

    def names(self) -> list[str]:
        return [daemon.name for daemon in self.daemons]

    def answer(self, line: str) -> str:
        with self._lock:
            self.said.append(line.strip())
            command, *words = line.split()
            said = {
                "listcs": self._listcs,
                "listblocks": lambda _: [f"   {word}" for word in self.blocks],
                "blockcs": self._block,
                "unblockcs": self._unblock,
                "removecs": self._remove,
            }[command](words)
            return "".join(f"{one}\n" for one in (*said, "200 done"))

    def _listcs(self, _: list[str]) -> list[str]:
        return [
            f" {d.name} ({d.address}:10245) [x86_64] speed=0.00 jobs=0/8 load=0"
            for d in self.daemons
        ]

    def _block(self, words: list[str]) -> list[str]:
        self.blocks += words  # as often as it is told
        return self._remove(words)

    def _unblock(self, words: list[str]) -> list[str]:
        for word in words:
            if word in self.blocks:
                self.blocks.remove(word)
        return []

    def _remove(self, words: list[str]) -> list[str]:
        """The first that matches, and no other."""
        said = []
        for word in words:
            found = next((daemon for daemon in self.daemons if daemon.matches(word)), None)
            if found:
                self.daemons.remove(found)
                said.append(f"removing host {word}")
        return said


def until(what: object, limit_s: float = 20) -> None:
    """Wait for a condition (a callable)."""
    assert callable(what)
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)
