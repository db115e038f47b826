"""Writes that are made together: none is lost, none is promised before it is there."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.book import Book
from orchestrator.tasks.model import Draft, Message
from orchestrator.tasks.store import Store
from orchestrator.tasks.together import Together


class Counting(Store):
    """Has one task, and counts its transactions."""

    commits = 0

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.add(Draft("x"), "ann")
        self._db.set_trace_callback(self._trace)

    def _trace(self, statement: str) -> None:
        self.commits += statement == "COMMIT"


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book[Store]]:
    found: Book[Store] = Book("tasks", lambda: Counting(tmp_path / "tasks.sqlite"))
    yield found
    found.close()


def say(number: int) -> Message:
    return Message(number, "agent", f"word {number}", 1.0)


async def written(book: Book[Store]) -> list[int]:
    said = await book.ask(lambda store: store.records.messages(1, 1))
    return [one.number for one in said]


async def commits(book: Book[Store]) -> int:
    return await book.ask(lambda store: store.commits if isinstance(store, Counting) else -1)


def test_many_are_one_transaction(book: Book[Store]) -> None:
    async def run() -> None:
        together = Together(book, 0.05)

        async def one(number: int) -> int:
            await asyncio.sleep(0.001 * number)
            await together.ask(lambda store: store.records.say(1, 1, [say(number)]))
            assert number in await written(book), "it is there when that is said"
            return await together.ask(lambda _: number)

        assert await asyncio.gather(*map(one, range(20))) == list(range(20))
        assert await commits(book) < 10, "20 writes, 20 questions"

    asyncio.run(run())


def test_one_that_fails_is_heard_by_all_and_nothing_of_it_stays(book: Book[Store]) -> None:
    def fail(_: Store) -> None:
        raise sqlite3.OperationalError("disk is full")

    async def run() -> None:
        together = Together(book, 0.0)
        both = [
            together.ask(lambda store: store.records.say(1, 1, [say(1)])),
            together.ask(fail),
        ]
        found = await asyncio.gather(*both, return_exceptions=True)
        assert [str(one) for one in found] == ["disk is full"] * 2
        assert await written(book) == []
        await together.ask(lambda store: store.records.say(1, 1, [say(2)]))
        assert await written(book) == [2]

    asyncio.run(run())


def test_who_gives_up_takes_nothing_back(book: Book[Store]) -> None:
    async def run() -> None:
        together = Together(book, 0.02)
        asking = asyncio.create_task(together.ask(lambda store: store.records.say(1, 1, [say(1)])))
        await asyncio.sleep(0)
        asking.cancel()
        await together.settled()
        assert asking.cancelled()
        assert await written(book) == [1]

    asyncio.run(run())


def test_what_comes_while_the_disk_is_slow_is_next(book: Book[Store]) -> None:
    go_on = threading.Event()

    async def run() -> None:
        together = Together(book, 0.0)
        slow = asyncio.create_task(together.ask(lambda _: go_on.wait(10)))
        await asyncio.sleep(0.05)
        more = [
            asyncio.create_task(
                together.ask(lambda store, number=number: store.records.say(1, 1, [say(number)]))  # type: ignore[misc]
            )
            for number in range(10)
        ]
        await asyncio.sleep(0.05)
        assert not any(one.done() for one in more)
        go_on.set()
        assert await slow
        await asyncio.gather(*more)
        assert await written(book) == list(range(10))
        assert await commits(book) == 2

    asyncio.run(run())
