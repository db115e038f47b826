"""AgentAPIs that are simulated, many in one process: for tests and benchmarks.

Faithful to the shapes of 0.12.1; behind it there is no terminal and no Claude Code. A prompt says
in its first words what the agent does:

say WORDS       says those words
slow N          works, and says N words, one each `beat_s`
hang            works until Escape is pressed
dialog          stands still before a choice
login           stands still, logged out
error WORDS     what Claude Code prints when the API says no
mute            stands still without a word
crash           takes the prompt and is gone without an answer; begins anew
vanish          takes the prompt, and answers nothing from then on
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

NOT_READY = "message can only be sent when the agent is waiting for user input"
GREETING = "Welcome to the simulated agent"
DIALOG = "Do you trust the files in this folder?\n\n \u276f 1. Yes, proceed\n   2. No, exit"
LOGIN = "\u25cf Invalid API key \u00b7 Please run /login"
ESCAPE = "\x1b"


class SimulatedAgent:
    """One agent. To be touched in the loop that serves it, see `InThread.call`."""

    def __init__(self, beat_s: float = 0.02, takes_s: float = 0.0) -> None:
        self.beat_s, self.takes_s = beat_s, takes_s  # takes_s: what taking a prompt lasts
        self.url = ""
        self.run = 1  # which start of its process this is
        self.prompts: list[str] = []  # all that it was ever told
        self.keys: list[str] = []
        self.files: dict[str, bytes] = {}
        self.asked = 0  # how often for its status
        self.silent = False  # it takes connections, and answers nothing
        self.odd: Callable[[], Response] | None = None  # what it answers instead
        self.status = "stable"
        self.messages: list[dict[str, Any]] = []
        self._changes: list[int] = []  # of each message
        self._faults: list[str] = []
        self._waking: set[asyncio.Event] = set()
        self._open: set[asyncio.Transport] = set()
        self._works: asyncio.Task[None] | None = None
        self._taking = asyncio.Lock()  # everything else waits meanwhile
        self._server: tuple[_Server, asyncio.Task[None]] | None = None
        self.add("agent", GREETING)

    # what it does

    def add(self, role: str, text: str) -> int:
        """Something is said; its number."""
        self.messages.append(
            {"id": len(self.messages), "role": role, "content": text, "time": _now()}
        )
        self._changes.append(1)
        self._wake()
        return len(self.messages) - 1

    def grow(self, number: int, text: str) -> None:
        """What is said becomes this."""
        self.messages[number] |= {"content": text}
        self._changes[number] += 1
        self._wake()

    def stand(self, status: str) -> None:
        """It works, or stands still."""
        self.status = status
        self._wake()

    def fail(self, text: str) -> None:
        """It tells of a fault of its agent."""
        self._faults.append(text)
        self._wake()

    def restart(self, *, forget: bool = True) -> None:
        """Its process ends, and another begins, which remembers what was said or does not."""
        self.cut()
        if self._works:
            self._works.cancel()
        self.run += 1
        self.silent = False
        if forget:
            self.messages.clear()
            self._changes.clear()
            self.add("agent", GREETING)
        self.stand("stable")

    def cut(self) -> None:
        """Every connection breaks."""
        for transport in self._open:
            transport.abort()

    async def up(self) -> None:
        """Listen, at the port that it had before."""
        port = int(self.url.rpartition(":")[2]) if self.url else 0
        door = socket.create_server(("127.0.0.1", port), backlog=256)
        self.url = f"http://127.0.0.1:{door.getsockname()[1]}"
        server = _Server(self)
        self._server = server, asyncio.create_task(server.serve(sockets=[door]))
        while not server.started:
            await asyncio.sleep(0.005)

    async def down(self) -> None:
        """Listen no more: connections are refused."""
        if self._server:
            server, task = self._server
            self._server = None
            server.should_exit = server.force_exit = True
            self.cut()
            await task
        if self._works:
            self._works.cancel()

    def _wake(self) -> None:
        for event in self._waking:
            event.set()

    # AgentAPI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application, in front of which uvicorn must be."""
        transport: asyncio.Transport = send.__self__.transport  # type: ignore[attr-defined]
        self._open.add(transport)
        try:
            answer = await self._answer(Request(scope, receive))
            while self.silent and not transport.is_closing():
                await asyncio.sleep(0.02)
            await (self.odd() if self.odd else answer)(scope, receive, send)
        finally:
            self._open.discard(transport)

    async def _answer(self, request: Request) -> Response:
        match request.method, request.url.path:
            case "GET", "/status":
                self.asked += 1
                async with self._taking:
                    said = {"status": self.status, "agent_type": "claude", "transport": "pty"}
                    return _said("StatusResponseBody", said)
            case "GET", "/messages":
                async with self._taking:
                    return _said("MessagesResponseBody", {"messages": self.messages})
            case "POST", "/message":
                return await self._message(await request.json())
            case "POST", "/upload":
                return self._upload(await request.body())
            case "GET", "/events":
                return StreamingResponse(self._events(), media_type="text/event-stream")
        return Response("404 page not found\n", 404)

    async def _message(self, form: dict[str, Any]) -> Response:
        if not isinstance(form.get("content"), str) or form.get("type") not in ("user", "raw"):
            return _problem(422, "validation failed", "expected required property content")
        text = form["content"]
        async with self._taking:
            if form["type"] == "raw":
                self._press(text)
            elif self.status != "stable":
                why = f"failed to send message: {NOT_READY}"
                return _problem(500, "unexpected error occurred", why)
            else:
                await asyncio.sleep(self.takes_s)
                self._take(text)
        return _said("MessageResponseBody", {"ok": True})

    def _press(self, keys: str) -> None:
        self.keys.append(keys)
        if ESCAPE in keys and self._works and not self._works.done():
            self._works.cancel()
            self.stand("stable")

    def _take(self, text: str) -> None:
        self.prompts.append(text)
        self.add("user", text)
        self.stand("running")
        verb = text.split(maxsplit=1)[0] if text.strip() else ""
        if verb == "crash":
            self.restart()
        elif verb == "vanish":
            self.silent = True
        else:
            self._works = asyncio.create_task(self._work(verb, text.removeprefix(verb).strip()))

    async def _work(self, verb: str, rest: str) -> None:
        await asyncio.sleep(self.beat_s)
        match verb:
            case "hang":
                self.add("agent", "\u25cf Working")
                await asyncio.Event().wait()
            case "slow":
                number = self.add("agent", "\u25cf")
                for count in range(int(rest.split()[0])):
                    self.grow(number, "\u25cf" + " word" * (count + 1))
                    await asyncio.sleep(self.beat_s)
            case "dialog" | "login":
                self.add("agent", DIALOG if verb == "dialog" else LOGIN)
            case "error":
                self.add("agent", f"\u25cf API Error: {rest}")
            case "mute":
                self.add("agent", "")
            case _:
                self.add("agent", f"\u25cf {rest or 'Done.'}")
        self.stand("stable")

    def _upload(self, body: bytes) -> Response:
        found = re.search(rb'filename="([^"]*)"[^\n]*\r\n(?:[^\n]+\r\n)*\r\n(.*)\r\n--', body, re.S)
        if not found:
            return _problem(422, "validation failed", "File required")
        path = f"/tmp/uploads/{found[1].decode()}"  # noqa: S108 - nothing is written there
        self.files[path] = found[2]
        return _said("UploadResponseBody", {"ok": True, "filePath": path})

    async def _events(self) -> AsyncIterator[bytes]:
        """All messages and the status; then what changes."""
        wake, seen, status, faults = asyncio.Event(), list[int](), "", len(self._faults)
        self._waking.add(wake)
        try:
            while True:
                wake.clear()
                for number, one in enumerate(self.messages):
                    seen += [0] * (number + 1 - len(seen))
                    if seen[number] != self._changes[number]:
                        seen[number] = self._changes[number]
                        said = {key: one[key] for key in ("id", "role", "time")}
                        yield _event("message_update", {**said, "message": one["content"]})
                if status != self.status:
                    status = self.status
                    yield _event("status_change", {"status": status, "agent_type": "claude"})
                for text in self._faults[faults:]:
                    yield _event("agent_error", {"level": "error", "message": text, "time": _now()})
                faults = len(self._faults)
                await wake.wait()
        finally:
            self._waking.discard(wake)


def _said(schema: str, said: dict[str, Any]) -> Response:
    return JSONResponse({"$schema": f"http://localhost/schemas/{schema}.json", **said})


def _problem(status: int, detail: str, fault: str) -> Response:
    said = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    said |= {"errors": [{"message": fault}]}
    return JSONResponse(said, status, media_type="application/problem+json")


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class _Server(uvicorn.Server):
    def __init__(self, agent: SimulatedAgent) -> None:
        super().__init__(
            uvicorn.Config(
                agent,
                access_log=False,
                log_config=None,
                log_level="critical",
                lifespan="off",
                timeout_graceful_shutdown=1,
                ws="none",
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def served(*agents: SimulatedAgent) -> AsyncIterator[None]:
    """Serve them in this loop; each has a `url` then."""
    for agent in agents:
        await agent.up()
    try:
        yield
    finally:
        await asyncio.gather(*(agent.down() for agent in agents))


class InThread:
    """Serves agents in a loop of their own, in a thread: for what has no loop, or must not share
    it.
    """

    def __init__(self, agents: Sequence[SimulatedAgent]) -> None:
        self._agents, self._ended = agents, asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    async def _run(self) -> None:
        async with served(*self._agents):
            self._up.set()
            await self._ended.wait()

    def call(self, what: Callable[[], object]) -> None:
        """Do something in the agents' loop."""
        self._loop.call_soon_threadsafe(what)

    def __enter__(self) -> InThread:
        self._thread.start()
        assert self._up.wait(30), "the agents do not come up"
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self._ended.set)
        self._thread.join(30)
        self._loop.close()


async def until(true: Callable[[], object], limit_s: float = 20.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
