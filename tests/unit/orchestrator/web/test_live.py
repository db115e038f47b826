"""Pages are kept up to date: what changed is sent, once rendered, and nothing else."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from orchestrator.desk import Desk, News
from orchestrator.registry.model import Condition
from orchestrator.tasks.model import Message, State
from orchestrator.web import live as module
from orchestrator.web import pages
from orchestrator.web.live import Live
from orchestrator.web.parts import Part, Shown
from tests.unit.orchestrator.web.desks import MemoryDesk

SOON_S = 5.0
Stream = AsyncIterator[bytes]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", 0.02)


class Counted:
    """The parts of the pages, and how often each kind was rendered."""

    def __init__(self) -> None:
        self.rendered: Counter[str] = Counter()
        kinds = [part for subject in pages._SUBJECTS for part in subject.KINDS]
        self.kinds = {part.kind: replace(part, show=self._counting(part)) for part in kinds}

    def _counting(self, part: Part) -> Callable[[Desk, str], Awaitable[Shown]]:
        async def show(desk: Desk, which: str) -> Shown:
            self.rendered[part.kind] += 1
            return await part.show(desk, which)

        return show


async def opened(live: Live, *names: str) -> Stream:
    """A stream of a page that has these parts as they are."""
    digests = {name: (await live.show(name)).digest for name in names}
    stream = live.stream(digests)
    assert await anext(stream) == module.HELLO
    return stream


async def update(stream: Stream) -> str:
    async with asyncio.timeout(SOON_S):
        return (await anext(stream)).decode()


def test_a_page_hears_of_its_own_parts_alone() -> None:
    async def run() -> None:
        desk = MemoryDesk()
        live = Live(desk, Counted().kinds)
        stream = await opened(live, "task:3", "agent:rpi1")
        waiting = asyncio.ensure_future(update(stream))
        await asyncio.sleep(0.1)
        desk.become(2, State.RUNNING)
        desk._be("rpi3", Condition.IDLE)
        await asyncio.sleep(0.1)
        assert not waiting.done()
        desk.become(3, State.DONE)
        said = await waiting
        part = '<div id="part-task-3" hx-swap-oob="innerHTML">'
        assert said.startswith(f"id: 1\nevent: parts\ndata: {part}")
        assert "done" in said
        assert "agent-rpi1" not in said

    asyncio.run(run())


def test_what_changed_between_page_and_stream_is_sent_first() -> None:
    async def run() -> None:
        desk = MemoryDesk()
        live = Live(desk, Counted().kinds)
        digest = (await live.show("task:3")).digest
        desk.become(3, State.FAILED, reason="it fell")
        stream = live.stream({"task:3": digest})
        await anext(stream)
        assert "it fell" in await update(stream)

    asyncio.run(run())


def test_a_conversation_grows_without_being_sent_again() -> None:
    async def run() -> None:
        desk = MemoryDesk()
        live = Live(desk, Counted().kinds)
        stream = await opened(live, "task-said:3")
        waiting = asyncio.ensure_future(update(stream))
        await asyncio.sleep(0.1)
        desk.speak(3, "\nand there")
        said = await waiting
        assert 'id="m3-2" hx-swap-oob="innerHTML"' in said
        assert "Tidy the house" not in said
        desk._messages[3].append(Message(3, "agent", "something new", 1.0))
        desk.speak(3, "!")
        said = await update(stream)
        assert 'id="part-task-said-3" hx-swap-oob="beforeend"' in said
        assert "something new!" in said
        assert "look around" not in said

    asyncio.run(run())


def test_many_listeners_cost_one_rendering() -> None:
    async def run() -> None:
        desk, counted = MemoryDesk(), Counted()
        live = Live(desk, counted.kinds)
        streams = [await opened(live, "task:3", "task-said:3") for _ in range(20)]
        waiting = [asyncio.ensure_future(update(one)) for one in streams]
        await asyncio.sleep(0.2)
        counted.rendered.clear()
        for number in range(50):
            desk.speak(3, f" {number}")
        said = await asyncio.gather(*waiting)
        assert all("49" in one for one in said)
        assert counted.rendered == {"task-said": 1}

    asyncio.run(run())


def test_nothing_is_heard_or_kept_while_nobody_looks() -> None:
    async def run() -> None:
        desk = MemoryDesk()
        live = Live(desk, Counted().kinds)
        for _ in range(2):
            stream = await opened(live, "summary")
            waiting = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0.1)
            assert len(desk.bus._listeners) == 1
            waiting.cancel()  # as when somebody goes away
            await asyncio.sleep(0.1)
            assert len(desk.bus._listeners) == 0

    asyncio.run(run())


def test_who_leaves_before_the_first_news_is_not_waited_for() -> None:
    """A browser that goes away at once, while the desk is only being asked for its news."""

    class Slow(MemoryDesk):
        @asynccontextmanager
        async def news(self) -> AsyncIterator[AsyncIterator[News]]:
            await asyncio.sleep(0.2)
            async with super().news() as it:
                yield it

    async def run() -> None:
        desk = Slow()
        live = Live(desk, Counted().kinds)
        waiting = asyncio.ensure_future(anext(await opened(live, "summary")))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.sleep(0.4)
        assert len(desk.bus._listeners) == 0
        assert live._news._listeners == 0

    asyncio.run(run())


def test_hostile_text_stays_within_its_event() -> None:
    async def run() -> None:
        desk = MemoryDesk(hostile=True)
        live = Live(desk, Counted().kinds)
        names = ["summary", "attention", "strangers", "cluster", "costs", "task:3", "task-said:3"]
        names += ["task-row:3", "task-events:3", "task-patch:4", "plan:1", "plan-steps:1"]
        stream = live.stream(dict.fromkeys(names, ""))
        await anext(stream)
        said = await update(stream)
        lines = said.removesuffix("\n\n").split("\n")
        assert lines[:2] == ["id: 1", "event: parts"]
        assert all(line.startswith("data: ") for line in lines[2:])
        assert "\r" not in said
        assert "<xss" not in said

    asyncio.run(run())


def test_a_stream_says_now_and_then_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(module, "HEARTBEAT_S", 0.05)
        stream = await opened(Live(MemoryDesk(), Counted().kinds), "summary")
        assert await update(stream) == ": still here\n\n"

    asyncio.run(run())


def test_a_stream_ends_so_that_its_reader_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(module, "LONGEST_S", 0.1)
        monkeypatch.setattr(module, "HEARTBEAT_S", 0.05)
        stream = await opened(Live(MemoryDesk(), Counted().kinds), "summary")
        async with asyncio.timeout(SOON_S):
            assert {one async for one in stream} <= {b": still here\n\n"}

    asyncio.run(run())


def test_what_is_gone_is_left_as_it_was() -> None:
    async def run() -> None:
        desk = MemoryDesk()
        live = Live(desk, Counted().kinds)
        stream = await opened(live, "task:3", "task:4")
        waiting = asyncio.ensure_future(update(stream))
        await asyncio.sleep(0.1)
        desk.become(3, State.DONE)
        del desk._tasks[3]
        desk.become(4, State.LOST)
        said = await waiting
        assert "part-task-4" in said
        assert "part-task-3" not in said

    asyncio.run(run())
