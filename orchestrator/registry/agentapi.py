"""Talks to one agent's AgentAPI (coder/agentapi 0.12.1), and believes nothing of what it says.

There are no retries: who asks knows what to do then. So an error says what is certain of a request.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from orchestrator.plain import NO_TLS
from orchestrator.registry.events import Event, OddStreamError, events
from orchestrator.tasks.model import Message

CONNECT_S = 5.0
STATUS_S = 25.0  # a message that is being taken holds up every other answer, for up to 17 s
SAY_S = 40.0
UPLOAD_S = 120.0
# It says nothing while its agent is idle, so this tells a dead connection from a quiet one only by
# opening another.
STREAM_S = 120.0
ANSWER_LIMIT = 16 << 20  # bytes
STREAM_RATE = 8 << 20  # bytes a second: whoever sends more has to wait, and nobody else
MESSAGES_LIMIT = 5_000  # of a session, the latest
TEXT_LIMIT = 1 << 20  # characters of one message, the last
REASON_LIMIT = 500
NUMBER_LIMIT = 1 << 53
NOT_READY = "waiting for user input"  # in errors[] of the 500 that means: it works on something
STATES = ("stable", "running")
# A terminal of a thousand lines, of which an agent fills the first and, at work, the last.
_EMPTY_SCREEN = re.compile(r"\n(?:[ \t\r]*\n){3,}")
# What a decompressor makes of an answer has no limit.
_HEADERS = {"accept-encoding": "identity"}
_NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,  # no address at all
)


class AgentApiError(Exception):
    """An agent's AgentAPI cannot be asked, or says no; the text says why."""


class SilentError(AgentApiError):
    """Nobody was there: it is certain that nothing was sent.

    `refused`: its host is on, and nobody listens there.
    """

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


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


def new_client() -> httpx.AsyncClient:
    """The client for all agents.

    No connection is used twice: on one that has died meanwhile nobody knows whether a message went
    out.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncClient(verify=NO_TLS, trust_env=False, limits=limits, follow_redirects=False)


class AgentApi:
    """One agent's. All methods raise AgentApiError."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client, self._url = client, url.rstrip("/")

    async def status(self) -> str:
        """`stable`, or `running`."""
        status = (await self._ask("GET", "/status", STATUS_S)).get("status")
        if status not in STATES:
            raise OddError("it says neither stable nor running")
        return str(status)

    async def messages(self) -> tuple[Message, ...]:
        """What was said in its session."""
        said = (await self._ask("GET", "/messages", STATUS_S)).get("messages")
        found = [_message(one, "content") for one in said] if isinstance(said, list) else [None]
        if None in found:
            raise OddError("its messages are not what messages are")
        return tuple(one for one in found[-MESSAGES_LIMIT:] if one)

    async def say(self, text: str) -> None:
        """Tell it something."""
        await self._post(text, "user")

    async def press(self, keys: str) -> None:
        """Press keys in its terminal."""
        await self._post(keys, "raw")

    async def _post(self, text: str, kind: str) -> None:
        form = {"content": _clean(text), "type": kind}
        if (await self._ask("POST", "/message", SAY_S, json=form)).get("ok") is not True:
            raise OddError("it does not say that it has taken the message")

    async def upload(self, name: str, content: bytes) -> str:
        """Bring a file to its host: the path there."""
        said = await self._ask("POST", "/upload", UPLOAD_S, files={"file": (name, content)})
        path = said.get("filePath")
        if not isinstance(path, str) or not path.startswith("/") or not path.isprintable():
            raise OddError("it does not say where it has put the file")
        return path

    async def updates(self) -> AsyncGenerator[Update, None]:
        """What was said so far, and then what comes, until it ends. What makes no sense is left
        out. To be closed by whoever stops listening.
        """
        timeout = httpx.Timeout(STREAM_S, connect=CONNECT_S)
        url = f"{self._url}/events"
        try:
            async with self._client.stream("GET", url, headers=_HEADERS, timeout=timeout) as answer:
                if answer.status_code != 200:
                    raise OddError(f"its events are answered with {answer.status_code}")
                async with aclosing(events(_slowly(answer))) as coming:
                    async for event in coming:
                        if update := _update(event):
                            yield update
        except OddStreamError as error:
            raise OddError(str(error)) from None
        except httpx.HTTPError as error:
            raise SilentError(f"its events broke off: {_words(error)}") from None

    async def _ask(self, method: str, path: str, limit_s: float, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's
        timeout = httpx.Timeout(limit_s, connect=CONNECT_S)
        url = f"{self._url}{path}"
        try:
            # httpx's limit is for one piece of an answer, and it may come in many
            async with (
                asyncio.timeout(limit_s + CONNECT_S),
                self._client.stream(
                    method, url, headers=_HEADERS, timeout=timeout, **more
                ) as answer,
            ):
                return _read(answer.status_code, await _body(answer))
        except _NOTHING_SENT as error:
            words = f"it does not answer: {_words(error)}"
            raise SilentError(words, refused=_refused(error)) from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise UncertainError(f"it was asked, and did not answer: {_words(error)}") from None


async def _slowly(answer: httpx.Response) -> AsyncIterator[bytes]:
    async for piece in answer.aiter_raw():
        yield piece
        await asyncio.sleep(len(piece) / STREAM_RATE)


async def _body(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > ANSWER_LIMIT:
            raise OddError("its answer has no end")
    return bytes(body)


def _read(status: int, body: bytes) -> dict[str, Any]:
    """What it answered. Raises AgentApiError."""
    said = _json(body)
    if status == 200 and isinstance(said, dict):
        return said
    reasons = _reasons(said) or body[:REASON_LIMIT].decode("utf-8", "replace").strip()
    if status == 500 and NOT_READY in reasons:
        raise NotReadyError(reasons)
    kind = RejectedError if 400 <= status < 500 else OddError
    raise kind(f"it answered {status}: {reasons or 'nothing'}")


def _reasons(said: object) -> str:
    """What its problem says, all in one."""
    if not isinstance(said, dict):
        return ""
    faults = said.get("errors")
    listed = faults if isinstance(faults, list) else []
    found = [one.get("message") for one in listed if isinstance(one, dict)]
    return _clean("; ".join(str(one) for one in [said.get("detail"), *found] if one))[:REASON_LIMIT]


def _json(text: bytes | str) -> object:
    """None for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _update(event: Event) -> Update | None:
    """What an event says; None: nothing that concerns us."""
    said = _json(event.data)
    if not isinstance(said, dict):
        return None
    match event.kind:
        case "message_update":
            message = _message(said, "message")
            return MessageUpdate(message) if message else None
        case "status_change" if said.get("status") in STATES:
            return StatusChange(str(said["status"]))
        case "agent_error":
            return AgentFault(_clean(str(said.get("message", "")))[:REASON_LIMIT])
    return None


def _message(said: object, text: str) -> Message | None:
    """One message, whose text is in another field in events than in lists; None: it is none."""
    if not isinstance(said, dict):
        return None
    number, role, content = said.get("id"), said.get("role"), said.get(text)
    if type(number) is not int or not 0 <= number < NUMBER_LIMIT:
        return None
    if role not in ("user", "agent") or not isinstance(content, str):
        return None
    text = _EMPTY_SCREEN.sub("\n\n", _clean(content[-TEXT_LIMIT:]))
    return Message(number, str(role), text, _moment(said.get("time")))


def _moment(said: object) -> float:
    try:
        return datetime.fromisoformat(str(said)).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def _clean(text: str) -> str:
    """The same without halves of characters, which JSON can say and nothing can write."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _refused(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ConnectionRefusedError):
        error = error.__cause__ or error.__context__
    return error is not None


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
