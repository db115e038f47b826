"""AgentAPIs that are simulated, many in one process: for tests and benchmarks.

Faithful to the shapes of 0.12.1; there is no terminal behind it, and no Claude Code. A prompt says
what its agent does:

say WORDS       those words
slow N          works, and says N words, one each `beat_s`
hang            works until Escape is pressed
dialog          stands still in a choice
vanish          takes the prompt and answers nothing, ever
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

NOT_READY = "message can only be sent when the agent is waiting for user input"


class SimulatedAgent:
    """One agent. Its methods may be called from any thread but where it says so."""

    def __init__(self, beat_s: float = 0.02) -> None:
        self.beat_s = beat_s
        self.prompts: list[str] = []
        self.status = "stable"
        self.messages: list[dict[str, Any]] = []
        self.asked = 0  # how often it was asked for its status
        self.silent = False  # answers nothing
        self.odd: Response | None = None  # what everything is answered with instead
        self._wakes = set[asyncio.Event]()
        self._version: dict[int, int] = {}  # message → how often it changed
        self._works: asyncio.Task[None] | None = None
        self.add("agent", "ready")

    def add(self, role: str, text: str, number: int | None = None) -> int:
        """A message is said, or the one with that number becomes another; its number."""
        number = len(self.messages) if number is None else number
        said = {"id": number, "role": role, "content": text, "time": _now()}
        self.messages[number:] = [said]
        self._version[number] = self._version.get(number, 0) + 1
        self._wake()
        return number

    def stand(self, status: str) -> None:
        """It works, or stands still. In its own loop only."""
        self.status = status
        self._wake()

    def _wake(self) -> None:
        for event in self._wakes:
            event.set()

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/status", self._status, methods=["GET"]),
                Route("/messages", self._messages, methods=["GET"]),
                Route("/message", self._message, methods=["POST"]),
                Route("/upload", self._upload, methods=["POST"]),
                Route("/events", self._events, methods=["GET"]),
            ]
        )

    async def _status(self, request: Request) -> Response:
        self.asked += 1
        said = {"agent_type": "claude", "status": self.status, "transport": "pty"}
        return await self._say(JSONResponse(said))

    async def _messages(self, request: Request) -> Response:
        return await self._say(JSONResponse({"messages": self.messages}))

    async def _say(self, answer: Response) -> Response:
        while self.silent:
            await asyncio.sleep(0.05)
        return self.odd or answer

    async def _message(self, request: Request) -> Response:
        said = await request.json()
        if said["type"] == "raw":
            if "\x1b" in said["content"] and self._works:
                self._works.cancel()
                self.stand("stable")
            return await self._say(JSONResponse({"ok": True}))
        if self.status != "stable":
            problem = {"title": "x", "status": 500, "errors": [{"message": NOT_READY}]}
            return JSONResponse(problem, 500, media_type="application/problem+json")
        self.prompts.append(said["content"])
        self.add("user", said["content"])
        if said["content"].startswith("vanish"):
            self.silent = True
        self.stand("running")
        self._works = asyncio.create_task(self._work(said["content"]))
        return await self._say(JSONResponse({"ok": True}))

    async def _work(self, prompt: str) -> None:
        verb, _, rest = prompt.partition(" ")
        match verb:
            case "hang" | "vanish":
                self.add("agent", "working…")
                await asyncio.Event().wait()
            case "dialog":
                self.add("agent", "Do you trust this?\n \u276f 1. Yes\n   2. No")
            case "slow":
                number = None
                for count in range(int(rest.split()[0])):
                    words = " ".join(["word"] * (count + 1))
                    number = self.add("agent", words, number)
                    await asyncio.sleep(self.beat_s)
            case _:
                self.add("agent", rest or "done")
        await asyncio.sleep(self.beat_s)
        self.stand("stable")

    async def _upload(self, request: Request) -> Response:
        name = re.findall(rb'filename="([^"]*)"', await request.body())[0].decode()
        return await self._say(JSONResponse({"ok": True, "filePath": f"/up/{name}"}))

    async def _events(self, request: Request) -> Response:
        return self.odd or StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[bytes]:
        """All messages and the status, then what changes."""
        wake, seen, status = asyncio.Event(), dict[int, int](), ""
        self._wakes.add(wake)
        try:
            while True:
                wake.clear()
                while self.silent:
                    await asyncio.sleep(0.05)
                for one in tuple(self.messages):
                    if seen.get(one["id"]) != self._version[one["id"]]:
                        seen[one["id"]] = self._version[one["id"]]
                        said = {key: one[key] for key in ("id", "role", "time")}
                        yield _event("message_update", {**said, "message": one["content"]})
                if status != self.status:
                    status = self.status
                    said = {"status": status, "agent_type": "claude"}
                    yield _event("status_change", said)
                await wake.wait()
        finally:
            self._wakes.discard(wake)


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def _now() -> str:
    return datetime.now(UTC).isoformat()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def serving(agents: Sequence[SimulatedAgent]) -> Iterator[list[str]]:
    """Serve them on free ports of loopback, in a thread of their own: their addresses."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in agents]
    servers = [
        _Server(
            uvicorn.Config(
                one.app(), log_level="error", lifespan="off", timeout_graceful_shutdown=0
            )
        )
        for one in agents
    ]

    async def serve() -> None:
        async with asyncio.TaskGroup() as group:
            for server, door in zip(servers, sockets, strict=True):
                group.create_task(server.serve(sockets=[door]))

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        yield [f"http://127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(20)


async def until(true: Any, limit_s: float = 20.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
