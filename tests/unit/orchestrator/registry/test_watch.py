"""Watching agents: their state is true, told when it changes, and nobody breaks the watcher."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from starlette.responses import PlainTextResponse

from orchestrator.desk import News
from orchestrator.registry import agentapi, watch
from orchestrator.registry.agentapi import MessageUpdate, Update
from orchestrator.registry.model import AgentHost, Condition, Money
from orchestrator.registry.watch import Watcher
from tests.unit.orchestrator.simulated import SimulatedAgent, serving, until


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "BACKOFF_S", (0.02, 0.05))
    monkeypatch.setattr(agentapi, "STATUS_S", 0.3)
    monkeypatch.setattr(agentapi, "STREAM_S", 0.3)


class Watched:
    """A simulated agent and its watcher."""

    def __init__(self, agent: SimulatedAgent, watcher: Watcher, news: list[News]) -> None:
        self.agent, self.watcher, self.news = agent, watcher, news

    async def becomes(self, wanted: Condition) -> None:
        await until(lambda: self.watcher.agent.condition is wanted)


@asynccontextmanager
async def watching(money: Callable[[], Money] = Money, power: str = "always-on",
                   off: bool = False) -> AsyncIterator[Watched]:  # fmt: skip
    agent, news = SimulatedAgent(), list[News]()
    with serving([agent]) as (url,):
        async with httpx.AsyncClient(trust_env=False) as client:
            host = AgentHost("pi", "pi", "debian", "aarch64", power, url, True, True)
            watcher = Watcher(host, client, news.append, money, off=off, poll_s=0.03)
            running = asyncio.create_task(watcher.run())
            try:
                yield Watched(agent, watcher, news)
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running


def watched(what: Callable[[Watched], Awaitable[None]], **more: object) -> None:
    async def run() -> None:
        async with watching(**more) as it:  # type: ignore[arg-type]  # as above
            await what(it)

    asyncio.run(run())


def test_it_is_told_once_for_each_change() -> None:
    async def what(it: Watched) -> None:
        await it.becomes(Condition.IDLE)
        since, told = it.watcher.agent.since, len(it.news)
        await asyncio.sleep(0.3)
        assert it.agent.asked > 2
        assert (it.watcher.agent.since, len(it.news)) == (since, told), "nothing has changed"
        await it.watcher.api.say("hang")
        await it.becomes(Condition.WORKING)
        assert it.watcher.agent.since > since
        assert set(it.news) == {News("agents", "pi")}
        await it.watcher.api.press("\x1b")
        await it.becomes(Condition.IDLE)

    watched(what)


@pytest.mark.parametrize(
    ("power", "expected"),
    [("always-on", Condition.UNREACHABLE), ("sleeps", Condition.ASLEEP)],
)
def test_silence_comes_and_goes(power: str, expected: Condition) -> None:
    async def what(it: Watched) -> None:
        await it.becomes(Condition.IDLE)
        it.agent.silent = True
        await it.becomes(expected)
        assert it.watcher.agent.said
        it.agent.silent = False
        await it.becomes(Condition.IDLE)

    watched(what, power=power)


def test_dialogs_and_budgets_are_seen() -> None:
    purse = [Money()]

    async def what(it: Watched) -> None:
        await it.becomes(Condition.IDLE)
        await it.watcher.api.say("dialog")
        await it.becomes(Condition.STUCK)
        await it.watcher.api.say("say all is well")
        await it.becomes(Condition.IDLE)
        purse[0] = Money(refused="budget: spent")
        it.watcher.refresh()
        assert it.watcher.agent.condition is Condition.OVER_BUDGET

    watched(what, money=lambda: purse[0])


def test_what_is_off_is_not_asked() -> None:
    async def what(it: Watched) -> None:
        await asyncio.sleep(0.1)
        assert it.watcher.agent.condition is Condition.OFF
        assert it.agent.asked == 0

    watched(what, off=True)


def test_nonsense_breaks_nothing() -> None:
    async def what(it: Watched) -> None:
        await it.becomes(Condition.IDLE)
        it.agent.odd = PlainTextResponse("event: status_change\ndata: [\n\n")
        await it.becomes(Condition.UNREACHABLE)
        it.agent.odd = None
        await it.becomes(Condition.IDLE)

    watched(what)


def test_listeners_hear_live_and_slow_ones_hold_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ROOM", 20)

    async def what(it: Watched) -> None:
        await it.becomes(Condition.IDLE)
        heard: list[Update] = []
        async with it.watcher.subscribe() as quick, it.watcher.subscribe() as slow:

            async def listen() -> None:
                async for update in quick:
                    heard.append(update)

            listening = asyncio.create_task(listen())
            await it.watcher.api.say("slow 40")
            await it.becomes(Condition.WORKING)
            await it.becomes(Condition.IDLE)
            listening.cancel()
            assert sum(isinstance(one, MessageUpdate) for one in heard) > 20
            left = [update async for update in slow]
            assert len(left) < 20, "it was cut off, and asks for what it missed"
        assert not it.watcher._listeners

    watched(what)
