"""News: everybody hears it once, and nobody who is slow costs memory."""

from __future__ import annotations

import asyncio

from orchestrator.bus import ALL, Bus
from orchestrator.desk import News

TASK, AGENT = News("tasks", "1"), News("agents", "rpi1")


def test_everybody_hears_what_is_told_while_they_listen() -> None:
    async def run() -> list[News]:
        bus = Bus()
        bus.tell(News("tasks", "0"))
        async with bus.listen() as one, bus.listen() as other:
            bus.tell(TASK)
            bus.tell(AGENT)
            return [await anext(one), await anext(one), await anext(other), await anext(other)]

    assert asyncio.run(run()) == [TASK, AGENT, TASK, AGENT]


def test_a_listener_that_waits_is_woken() -> None:
    async def run() -> News:
        bus = Bus()
        async with bus.listen() as heard:
            waiting = asyncio.ensure_future(anext(heard))
            await asyncio.sleep(0)
            assert not waiting.done()
            bus.tell(TASK)
            return await waiting

    assert asyncio.run(run()) == TASK


def test_the_same_news_waits_once() -> None:
    async def run() -> list[News]:
        bus = Bus()
        async with bus.listen() as heard:
            for _ in range(1000):
                bus.tell(TASK)
            bus.tell(AGENT)
            return [await anext(heard), await anext(heard)]

    assert asyncio.run(run()) == [TASK, AGENT]


def test_who_is_too_slow_is_told_to_look_at_everything_and_then_goes_on() -> None:
    async def run() -> list[News]:
        bus = Bus(room=3)
        async with bus.listen() as heard:
            for number in range(10):
                bus.tell(News("tasks", str(number)))
            first = await anext(heard)
            bus.tell(AGENT)
            return [first, await anext(heard)]

    assert asyncio.run(run()) == [ALL, AGENT]
