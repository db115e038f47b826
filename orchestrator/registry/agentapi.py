"""Talks to one agent's AgentAPI (coder/agentapi 0.12.1).

There are no retries: who asks knows what to do then. So errors say what is certain of a request.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from orchestrator.registry.events import Event, OddStreamError, events
from orchestrator.tasks.model import Message

# A message that is being taken holds its lock, and with it every other answer, for up to 17 s.
STATUS_S = 25.0
SAY_S = 40.0
UPLOAD_S = 120.0
CONNECT_S = 5.0
# It sends something at least that often, or the connection is dead. Its SSE has no heartbeat, so an
# idle agent's stream is simply opened anew then.
STREAM_S = 120.0
ANSWER_LIMIT = 16 << 20  # bytes
NOT_READY = "waiting for user input"  # in errors[] of the 500 that means: it works on something


class AgentApiError(Exception):
    """An agent's AgentAPI cannot be asked, or says no; the text says why."""


class SilentError(AgentApiError):
    """Nobody was there: it is certain that nothing was sent."""


class UncertainError(AgentApiError):
    """The request went out, and no answer came."""


class NotReadyError(AgentApiError):
    """It takes no message now, and has not taken this one."""


class OddError(AgentApiError):
    """It answered something else than it should."""


class RejectedError(OddError):
    """It says that the request is wrong (4xx), and has done nothing."""


@dataclass(frozen=True)
class MessageUpdate:
    """A message is new, or has grown."""

    message: Message


@dataclass(frozen=True)
class StatusChange:
    """It says that it is now `stable`, or `running`."""

    status: str


@dataclass(frozen=True)
class AgentFault:
    """It says that its agent is in trouble."""

    text: str


Update = MessageUpdate | StatusChange | AgentFault


class AgentApi:
    """One agent's. All methods raise AgentApiError."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client, self._url = client, url

    async def status(self) -> str:
        """`stable`, or `running`."""
        said = await self._ask("GET", "/status", STATUS_S)
        return _status(said.get("status"))

    async def messages(self) -> tuple[Message, ...]:
        """What was said in its session."""
        said = (await self._ask("GET", "/messages", STATUS_S)).get("messages")
        if not isinstance(said, list):
            raise OddError("its messages are no list")
        return tuple(_message(one, "content") for one in said)

    async def say(self, text: str) -> None:
        """Tell it something."""
        await self._ask("POST", "/message", SAY_S, json={"content": text, "type": "user"})

    async def press(self, keys: str) -> None:
        """Press keys in its terminal."""
        await self._ask("POST", "/message", SAY_S, json={"content": keys, "type": "raw"})

    async def upload(self, name: str, content: bytes) -> str:
        """Bring a file to its host: the path there."""
        said = await self._ask("POST", "/upload", UPLOAD_S, files={"file": (name, content)})
        path = said.get("filePath")
        if not isinstance(path, str) or not path.startswith("/"):
            raise OddError("it does not say where it put the file")
        return path

    async def updates(self) -> AsyncIterator[Update]:
        """What it says from now on, after all that it said before. Ends when it ends the stream."""
        timeout = httpx.Timeout(STREAM_S, connect=CONNECT_S)
        try:
            async with self._client.stream(
                "GET", f"{self._url}/events", timeout=timeout
            ) as response:
                if response.status_code != 200:
                    raise OddError(f"its events are answered with {response.status_code}")
                async for event in events(response.aiter_bytes()):
                    if update := _update(event):
                        yield update
        except OddStreamError as error:
            raise OddError(str(error)) from None
        except httpx.HTTPError as error:
            raise SilentError(f"its events broke off: {_words(error)}") from None

    async def _ask(self, method: str, path: str, timeout_s: float, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_S)
        try:
            async with self._client.stream(
                method, f"{self._url}{path}", timeout=timeout, **more
            ) as response:
                body = await _body(response)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise SilentError(f"it does not answer: {_words(error)}") from None
        except httpx.HTTPError as error:
            raise UncertainError(f"it was asked, and did not answer: {_words(error)}") from None
        return _answer(response.status_code, body)


async def _body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > ANSWER_LIMIT:
            raise OddError("its answer has no end")
    return bytes(body)


def _answer(status: int, body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if status == 200 and isinstance(said, dict):
        return said
    reasons = _reasons(said) or body[:200].decode("utf-8", "replace").strip()
    if status == 500 and NOT_READY in reasons:
        raise NotReadyError(reasons)
    kind = RejectedError if 400 <= status < 500 else OddError
    raise kind(f"it answered {status}: {reasons or 'nothing'}")


def _reasons(said: object) -> str:
    """What a problem of its says, all in one."""
    if not isinstance(said, dict):
        return ""
    details = said.get("errors")
    found = [one.get("message") for one in details if isinstance(one, dict)] if details else []
    return "; ".join(str(one) for one in [said.get("detail"), *found] if one)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _status(said: object) -> str:
    if said not in ("stable", "running"):
        raise OddError("it says neither stable nor running")
    return str(said)


def _update(event: Event) -> Update | None:
    """What an event says; None: nothing that concerns us."""
    try:
        said = json.loads(event.data)
    except (ValueError, RecursionError):
        raise OddError("one of its events is no JSON") from None
    if not isinstance(said, dict):
        raise OddError("one of its events is no object")
    match event.kind:
        case "message_update":
            return MessageUpdate(_message(said, "message"))
        case "status_change":
            return StatusChange(_status(said.get("status")))
        case "agent_error":
            return AgentFault(str(said.get("message", "")))
    return None


def _message(said: object, text: str) -> Message:
    """One message; its text is in another field in events than in lists."""
    if not isinstance(said, dict):
        raise OddError("one of its messages is no object")
    number, role, content = said.get("id"), said.get("role"), said.get(text)
    if not isinstance(number, int) or role not in ("user", "agent") or not isinstance(content, str):
        raise OddError("one of its messages lacks id, role or text")
    return Message(number, role, content, _moment(said.get("time")))


def _moment(said: object) -> float:
    try:
        return datetime.fromisoformat(str(said)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
