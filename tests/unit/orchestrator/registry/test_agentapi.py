"""One agent's AgentAPI: what is said and heard, and what an error is certain of."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response, StreamingResponse

from orchestrator.registry import agentapi
from orchestrator.registry.agentapi import (
    AgentApi,
    AgentApiError,
    AgentFault,
    MessageUpdate,
    NotReadyError,
    OddError,
    RejectedError,
    SilentError,
    StatusChange,
    UncertainError,
    Update,
    new_client,
)
from tests.unit.orchestrator.simulated import InThread, SimulatedAgent, served, until


def with_agent(
    what: Callable[[SimulatedAgent, AgentApi], Coroutine[Any, Any, None]], **more: float
) -> None:
    """Run it with a simulated agent and what talks to it."""

    async def run() -> None:
        agent = SimulatedAgent(**more)
        async with served(agent), new_client() as client:
            await what(agent, AgentApi(client, agent.url))

    asyncio.run(run())


def test_a_prompt_is_taken_and_answered() -> None:
    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        assert await api.status() == "stable"
        await api.say("say hello")
        await until(lambda: agent.status == "stable")
        said = [(one.number, one.role, one.content) for one in await api.messages()]
        assert said[1:] == [(1, "user", "say hello"), (2, "agent", "● hello")]
        assert all(one.at > 1e9 for one in await api.messages())

    with_agent(run)


def test_a_file_arrives_as_it_is() -> None:
    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        content = b"\r\n--\0\xff a file\r\n"
        path = await api.upload("notes.txt", content)
        assert agent.files == {path: content}

    with_agent(run)


def test_keys_are_pressed_while_it_works_and_prompts_are_not_taken() -> None:
    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        await api.say("hang")
        with pytest.raises(NotReadyError):
            await api.say("say more")
        await api.press("\x1b")
        await until(lambda: agent.status == "stable")
        assert (agent.prompts, agent.keys) == (["hang"], ["\x1b"])

    with_agent(run)


def test_a_status_is_waited_for_while_a_message_is_taken() -> None:
    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        saying = asyncio.create_task(api.say("hang"))
        await until(lambda: agent._taking.locked())
        assert await api.status() == "running"
        await saying

    with_agent(run, takes_s=0.3)


def test_what_is_said_is_heard_while_it_grows() -> None:
    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        heard = list[Update]()
        async with aclosing(api.updates()) as updates:
            await api.say("slow 5")
            async for update in updates:
                heard.append(update)
                if update == StatusChange("stable") and len(heard) > 4:
                    break
        grown = [one.message.content for one in heard if isinstance(one, MessageUpdate)]
        assert grown[-1] == "● word word word word word"
        assert len([text for text in grown if text.startswith("● word")]) >= 2
        assert StatusChange("running") in heard

    with_agent(run)


def test_a_fault_of_the_agent_is_heard() -> None:
    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        async with aclosing(api.updates()) as updates:
            async for update in updates:
                if update == StatusChange("stable"):
                    agent.fail("it fell over")
                if isinstance(update, AgentFault):
                    assert update == AgentFault("it fell over")
                    return

    with_agent(run)


def test_where_nobody_listens_nothing_was_sent() -> None:
    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        await api.status()
        await agent.down()
        with pytest.raises(SilentError) as caught:
            await api.say("say hello")
        assert caught.value.refused
        assert not agent.prompts
        await agent.up()
        await api.say("say hello")  # no connection of before is in the way

    with_agent(run)


def test_without_an_address_nothing_was_sent() -> None:
    async def run() -> None:
        async with new_client() as client:
            with pytest.raises(SilentError) as caught:
                await AgentApi(client, "").say("say hello")
            assert not caught.value.refused

    asyncio.run(run())


def test_a_crash_after_the_prompt_leaves_it_uncertain() -> None:
    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        with pytest.raises(UncertainError):
            await api.say("crash now")
        assert (agent.prompts, agent.run) == (["crash now"], 2)

    with_agent(run)


def test_silence_after_the_prompt_leaves_it_uncertain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agentapi, "SAY_S", 0.2)

    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        with pytest.raises(UncertainError):
            await api.say("vanish")
        assert agent.prompts == ["vanish"]

    with_agent(run)


def test_who_answers_in_crumbs_has_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agentapi, "STATUS_S", 0.3)
    monkeypatch.setattr(agentapi, "CONNECT_S", 0.2)

    async def crumbs() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        agent.odd = lambda: StreamingResponse(crumbs())
        with pytest.raises(UncertainError):
            await api.status()

    with_agent(run)


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agentapi, "ANSWER_LIMIT", 100_000)

    async def flood() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 10_000
            await asyncio.sleep(0)  # whoever has gone makes nobody wait

    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        agent.odd = lambda: StreamingResponse(flood())
        with pytest.raises(OddError, match="no end"):
            await api.messages()

    with_agent(run)


DEEP = b"[" * 100_000
ODD = {
    "text": Response("hello"),
    "a list": JSONResponse([]),
    "deep": Response(DEEP),
    "no fields": JSONResponse({}),
    "other types": JSONResponse({"status": 5, "messages": 5, "ok": "yes", "filePath": 5}),
    "no messages": JSONResponse({"status": "", "messages": [5], "filePath": "x"}),
    "a number too large": JSONResponse(
        {"messages": [{"id": 1 << 60, "role": "user", "content": "", "time": ""}]}
    ),
    "another role": JSONResponse({"messages": [{"id": 1, "role": "root", "content": ""}]}),
    "a path of two lines": JSONResponse({"filePath": "/a\n/b"}),
    "a redirect": Response(status_code=307, headers={"location": "http://127.0.0.1:1/"}),
    "gzip": Response(b"\x1f\x8b\x08", headers={"content-encoding": "gzip"}),
    "another fault": JSONResponse({"errors": [{"message": "no"}]}, 500),
    "odd faults": JSONResponse({"detail": 7, "errors": 5}, 500),
    "odder faults": Response(b'{"detail": "\\ud800", "errors": [5, {"message": []}]}', 503),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_answer_is_odd(name: str) -> None:
    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        agent.odd = lambda: ODD[name]
        asked: list[Callable[[], Coroutine[Any, Any, object]]] = [
            api.status,
            api.messages,
            lambda: api.say("x"),
            lambda: api.press("x"),
            lambda: api.upload("x", b"x"),
        ]
        for ask in asked:
            with pytest.raises(OddError) as caught:
                await ask()
            str(caught.value).encode()

    with_agent(run)


def test_what_is_refused_has_done_nothing() -> None:
    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        agent.odd = lambda: Response("Invalid host header. Allowed hosts: a", 400)
        with pytest.raises(RejectedError, match="400: Invalid host header"):
            await api.status()

    with_agent(run)


def test_halves_of_characters_come_as_something_that_can_be_written() -> None:
    said = b'{"messages": [{"id": 0, "role": "agent", "content": "a\\ud800b", "time": "never"}]}'

    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        agent.odd = lambda: Response(said)
        (one,) = await api.messages()
        assert (one.content, one.at) == ("a?b", 0.0)
        agent.odd = None
        await api.say("say a\ud800b")
        assert agent.prompts == ["say a?b"]

    with_agent(run)


def test_long_messages_keep_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agentapi, "TEXT_LIMIT", 5)
    monkeypatch.setattr(agentapi, "MESSAGES_LIMIT", 2)

    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        agent.add("agent", "a long one")
        agent.add("agent", "another long one")
        said = [(one.number, one.content) for one in await api.messages()]
        assert said == [(1, "g one"), (2, "g one")]

    with_agent(run)


def test_events_that_make_no_sense_are_left_out() -> None:
    pieces = [
        b"event: message_update\r\ndata: {}\r\n\r\n",
        b"event: message_update\ndata: nothing\n\n",
        b': a comment\nevent: status_change\ndata: {"status": "asleep"}\n\n',
        b'event: status_change\ndata: {"status": ["stable"]}\n\n',
        b"event: something\ndata: {}\n\ndata: 5\n\nnonsense\n\xff\xfe\n\n",
        b"event: agent_error\ndata: " + DEEP + b"\n\n",
        b"event: sta",
        b'tus_change\nid: 5\nretry: 1\ndata: {"status":\ndata: "running"}\n\n',
        b'event: status_change\ndata: {"status": "stable"}',  # never ends
    ]

    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        async def stream() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        agent.odd = lambda: StreamingResponse(stream())
        async with aclosing(api.updates()) as updates:
            assert [one async for one in updates] == [StatusChange("running")]

    with_agent(run)


@pytest.mark.parametrize("flood", [b"x" * 65536, b"data: x\n" * 8192])
def test_an_event_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch, flood: bytes) -> None:
    monkeypatch.setattr("orchestrator.registry.events.LINE_LIMIT", 200_000)
    monkeypatch.setattr("orchestrator.registry.events.EVENT_LIMIT", 200_000)

    async def stream() -> AsyncIterator[bytes]:
        while True:
            yield flood
            await asyncio.sleep(0)

    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        agent.odd = lambda: StreamingResponse(stream())
        with pytest.raises(OddError, match="no end"):
            async with aclosing(api.updates()) as updates:
                assert [one async for one in updates] == []

    with_agent(run)


def test_events_that_break_off_are_an_error() -> None:
    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        async def listen() -> None:
            async with aclosing(api.updates()) as updates:
                async for _ in updates:
                    agent.cut()

        with pytest.raises(AgentApiError):
            await listen()
        agent.odd = lambda: Response(status_code=503)
        with pytest.raises(OddError, match="503"):
            await listen()

    with_agent(run)


def test_no_proxy_of_the_environment_hears_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, address)

        async def run(agent: SimulatedAgent, api: AgentApi) -> None:
            assert await api.status() == "stable"

        with_agent(run)


def test_the_simulation_serves_in_a_thread_and_forgets_on_demand() -> None:
    agents = [SimulatedAgent() for _ in range(3)]

    async def ask() -> None:
        async with new_client() as client:
            apis = [AgentApi(client, agent.url) for agent in agents]
            assert [await api.status() for api in apis] == ["stable"] * 3
            await apis[0].say("hang")
            around.call(lambda: agents[0].restart(forget=False))
            await until(lambda: agents[0].run == 2)
            assert len(await apis[0].messages()) >= 2
            around.call(agents[0].restart)
            await until(lambda: agents[0].run == 3)
            assert len(await apis[0].messages()) == 1

    with InThread(agents) as around:
        asyncio.run(ask())


def test_the_simulation_has_the_shapes_of_the_api() -> None:
    async def run(agent: SimulatedAgent, api: AgentApi) -> None:
        async with new_client() as client:
            status = (await client.get(f"{agent.url}/status")).json()
            (one,) = (await client.get(f"{agent.url}/messages")).json()["messages"]
            wrong = await client.post(f"{agent.url}/message", json={"content": "x"})
        assert {"status", "agent_type", "transport"} <= status.keys()
        assert one.keys() == {"id", "role", "content", "time"}
        assert (wrong.status_code, wrong.headers["content-type"]) == (
            422,
            "application/problem+json",
        )
        assert json.loads(wrong.content)["errors"]

    with_agent(run)


def test_an_empty_screen_is_no_answer() -> None:
    """Claude Code draws its last line at the foot of a terminal of a thousand lines."""
    drawn = agentapi._message(
        {"id": 1, "role": "agent", "message": "a\n\nb\n" + " \n" * 900 + "working"}, "message"
    )
    assert drawn
    assert drawn.content == "a\n\nb\n\nworking"
