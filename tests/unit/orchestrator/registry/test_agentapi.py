"""Talking to AgentAPI: what it says, and what is certain when it says nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from orchestrator.registry import agentapi
from orchestrator.registry.agentapi import (
    AgentApi,
    AgentApiError,
    MessageUpdate,
    NotReadyError,
    OddError,
    RejectedError,
    SilentError,
    StatusChange,
    UncertainError,
)
from orchestrator.registry.events import EVENT_LIMIT, Event, OddStreamError, events
from tests.unit.orchestrator.simulated import SimulatedAgent, serving, until


@asynccontextmanager
async def talking(agent: SimulatedAgent) -> AsyncIterator[AgentApi]:
    with serving([agent]) as (url,):
        async with httpx.AsyncClient(trust_env=False) as client:
            yield AgentApi(client, url)


def ask(agent: SimulatedAgent, what: Callable[[AgentApi], Awaitable[None]]) -> None:
    async def run() -> None:
        async with talking(agent) as api:
            await what(api)

    asyncio.run(run())


def test_a_prompt_is_told_followed_and_read() -> None:
    agent = SimulatedAgent()

    async def what(api: AgentApi) -> None:
        heard = []

        async def follow() -> None:
            async for update in api.updates():
                heard.append(update)

        following = asyncio.create_task(follow())
        await until(lambda: StatusChange("stable") in heard)
        await api.say("slow 3")
        assert await api.status() == "running"
        with pytest.raises(NotReadyError, match="waiting for user input"):
            await api.say("too early")
        await until(lambda: heard[-1] == StatusChange("stable") and len(heard) > 3)
        following.cancel()
        texts = [one.message.content for one in heard if isinstance(one, MessageUpdate)]
        assert texts[:2] == ["ready", "slow 3"]
        assert texts[-1] == "word word word"
        said = await api.messages()
        assert [(one.number, one.role) for one in said] == [(0, "agent"), (1, "user"), (2, "agent")]
        assert all(one.at > 1_700_000_000 for one in said)
        assert await api.upload("a b.txt", b"x") == "/up/a b.txt"

    ask(agent, what)
    assert agent.prompts == ["slow 3"]


def test_nobody_there_is_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            api = AgentApi(client, "http://127.0.0.1:1")
            for what in (api.status(), api.say("x"), api.messages()):
                with pytest.raises(SilentError):
                    await what
            with pytest.raises(SilentError):
                async for _ in api.updates():
                    pass

    asyncio.run(run())


def test_no_answer_is_uncertain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agentapi, "SAY_S", 0.3)
    agent = SimulatedAgent()

    async def what(api: AgentApi) -> None:
        with pytest.raises(UncertainError):
            await api.say("vanish")

    ask(agent, what)
    assert agent.prompts == ["vanish"], "it was told, and nobody could know"


@pytest.mark.parametrize(
    ("odd", "kind", "words"),
    [
        (PlainTextResponse("Invalid host header. Allowed hosts: x", 400), RejectedError, "Invalid"),
        (JSONResponse({"detail": "no", "errors": [{"message": "why"}]}, 422), RejectedError, "why"),
        (JSONResponse({"errors": [{"message": "out of disk"}]}, 500), OddError, "out of disk"),
        (JSONResponse({"errors": "no list"}, 500), OddError, "500"),
        (JSONResponse(["stable"]), OddError, "200"),
        (JSONResponse({"status": "dreaming"}), OddError, "neither"),
        (PlainTextResponse("[" * 100_000), OddError, "200"),
        (PlainTextResponse("", 200), OddError, "nothing"),
    ],
)
def test_odd_answers_are_said_and_believed_by_nobody(
    odd: Response, kind: type[AgentApiError], words: str
) -> None:
    agent = SimulatedAgent()
    agent.odd = odd

    async def what(api: AgentApi) -> None:
        with pytest.raises(kind, match=words) as said:
            await api.status()
        assert isinstance(said.value, RejectedError) is (kind is RejectedError)
        with pytest.raises(OddError):
            await api.messages()
        heard = []
        with contextlib.suppress(AgentApiError):
            heard = [update async for update in api.updates()]
        assert heard == []

    ask(agent, what)


@pytest.mark.parametrize(
    "message",
    [
        None,
        {"id": "0", "role": "agent", "content": "x"},
        {"id": 0, "role": "root", "content": "x"},
        {"id": 0, "role": "agent", "content": None},
    ],
)
def test_odd_messages_are_none(message: object) -> None:
    agent = SimulatedAgent()
    agent.odd = JSONResponse({"messages": [message]})

    async def what(api: AgentApi) -> None:
        with pytest.raises(OddError):
            await api.messages()

    ask(agent, what)


def read(*pieces: bytes) -> list[Event]:
    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def run() -> list[Event]:
        return [event async for event in events(stream())]

    return asyncio.run(run())


def test_events_may_come_in_any_pieces() -> None:
    whole = (
        b": hello\r\nevent: a\r\ndata: 1\r\ndata:2\r\n\r\n\n\ndata: \xc3\xa9\nid: 7\n\nevent: cut"
    )
    expected = [Event("a", "1\n2"), Event("message", "é")]
    assert read(whole) == expected
    assert read(*(whole[at : at + 1] for at in range(len(whole)))) == expected


def test_events_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.registry.events.LINE_LIMIT", 1000)
    with pytest.raises(OddStreamError, match="line"):
        read(b"data: ", b"x" * 2000)
    monkeypatch.setattr("orchestrator.registry.events.EVENT_LIMIT", 1000)
    with pytest.raises(OddStreamError, match="event"):
        read(*[b"data: xxxxxxxxxx\n"] * 200)
    assert EVENT_LIMIT > 1000
