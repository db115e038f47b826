"""How agents are seen, while they work, crash, fall silent and say odd things."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.responses import Response

from orchestrator.desk import News
from orchestrator.registry.agentapi import StatusChange, new_client
from orchestrator.registry.model import AgentHost, Condition, Money
from orchestrator.registry.watch import Watcher
from tests.unit.orchestrator.simulated import SimulatedAgent, served, until


def watched(
    what: Callable[[SimulatedAgent, Watcher, list[News]], Coroutine[Any, Any, None]],
    power: str = "always-on",
    money: Money | None = None,
) -> None:
    async def run() -> None:
        agent, told = SimulatedAgent(), list[News]()
        async with served(agent), new_client() as client:
            host = AgentHost("rpi1", "pi", "debian", "aarch64", power, agent.url, True, True)
            watcher = Watcher(host, client, told.append, lambda: money or Money(), poll_s=0.05)
            running = asyncio.create_task(watcher.run())
            await until(lambda: watcher.agent.condition is not Condition.UNKNOWN)
            await what(agent, watcher, told)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())


def test_it_works_and_is_idle_again_and_nothing_is_told_twice() -> None:
    async def run(agent: SimulatedAgent, watcher: Watcher, told: list[News]) -> None:
        await watcher.api.say("slow 10")
        await until(lambda: watcher.agent.condition is Condition.WORKING)
        await until(lambda: watcher.agent.condition is Condition.IDLE)
        count = len(told)
        await asyncio.sleep(0.3)
        assert len(told) == count
        assert set(told) == {News("agents", "rpi1"), News("said", "rpi1")}

    watched(run)


def test_a_dialog_and_a_login_need_somebody() -> None:
    async def run(agent: SimulatedAgent, watcher: Watcher, told: list[News]) -> None:
        await watcher.api.say("dialog")
        await until(lambda: watcher.agent.condition is Condition.STUCK)
        agent.restart()
        await until(lambda: watcher.agent.condition is Condition.IDLE)
        await watcher.api.say("login")
        await until(lambda: watcher.agent.condition is Condition.LOGGED_OUT)

    watched(run)


def test_who_does_not_listen_is_unreachable_and_comes_back() -> None:
    async def run(agent: SimulatedAgent, watcher: Watcher, told: list[News]) -> None:
        await agent.down()
        await until(lambda: watcher.agent.condition is Condition.UNREACHABLE)
        await agent.up()
        await until(lambda: watcher.agent.condition is Condition.IDLE)

    watched(run, power="sleeps")  # a host that refuses a connection does not sleep


def test_odd_answers_are_no_work() -> None:
    async def run(agent: SimulatedAgent, watcher: Watcher, told: list[News]) -> None:
        agent.odd = lambda: Response(b"\xff" * 1000)
        await until(lambda: watcher.agent.condition is Condition.UNREACHABLE)
        assert "200" in watcher.agent.said

    watched(run)


def test_without_money_it_is_over_budget() -> None:
    async def run(agent: SimulatedAgent, watcher: Watcher, told: list[News]) -> None:
        assert watcher.agent.condition is Condition.OVER_BUDGET
        assert watcher.agent.said == "spent"

    watched(run, money=Money(refused="spent"))


def test_a_listener_hears_it_live() -> None:
    async def run(agent: SimulatedAgent, watcher: Watcher, told: list[News]) -> None:
        async with watcher.subscribe() as updates:
            await watcher.api.say("say hello")
            async for update in updates:
                if update == StatusChange("running"):
                    return

    watched(run)
