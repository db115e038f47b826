"""What everybody who works on tasks has in common: the store, the fleet, and whom to tell."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from orchestrator.book import Book
from orchestrator.bus import Bus
from orchestrator.client import ServiceError
from orchestrator.desk import News
from orchestrator.registry import model as registry
from orchestrator.tasks.model import State, Task
from orchestrator.tasks.seams import Control, Fleet, Money, Times
from orchestrator.tasks.store import Store
from orchestrator.tasks.together import Together

log = logging.getLogger("orchestrator")
T = TypeVar("T")


@dataclass(frozen=True)
class Work:
    """All of it. Every method that writes tells of it when it is written."""

    book: Book[Store]
    fleet: Fleet
    control: Control
    money: Money
    bus: Bus
    times: Times = field(default_factory=Times)
    clock: Callable[[], float] = time.time

    async def ask(self, what: Callable[[Store], T]) -> T:
        """What the store answers."""
        return await self.book.ask(what)

    @cached_property
    def together(self) -> Together:
        """Whom to ask what can wait a moment, and comes often."""
        return Together(self.book, self.times.gather)

    async def change(
        self, number: int, to: State, text: str = "", by: str = "", **values: object
    ) -> Task:
        """See Store.change."""
        task = await self.ask(lambda store: store.change(number, to, text, by, **values))
        log.info("task %d %s%s%s", number, to.value, ": " * bool(text), printable(text))
        self.tell(task)
        return task

    async def note(self, number: int, kind: str, text: str, by: str = "", **values: object) -> Task:
        """See Store.note."""
        task = await self.ask(lambda store: store.note(number, kind, text, by, **values))
        self.tell(task)
        return task

    async def count(self, task: Task, spent: int) -> None:
        """What its present session has spent."""
        if await self.together.ask(lambda store: store.spend(task.id, spent)):
            self.tell(task)

    def tell(self, task: Task) -> None:
        """Something of this task changed."""
        self.bus.tell(News("tasks", str(task.id)))
        if task.plan:
            self.bus.tell(News("plans", str(task.plan)))

    def agent(self, host: str) -> registry.Agent | None:
        """What is known of an agent."""
        return next((one for one in self.fleet.agents() if one.host.name == host), None)

    def purses(self, task: Task) -> registry.Money | None:
        """What the gateway tells of a task's session; None while it tells of another."""
        money = self.money.budgets().hosts.get(task.host)
        return money if money and task.session and money.session == task.session else None

    async def end_session(self, session: str) -> None:
        """Pay for it no more, if the gateway can be told."""
        if session:
            try:
                await self.money.end(session)
            except ServiceError as error:
                log.warning("session %s goes on: %s", session, error)


async def within(event: asyncio.Event, seconds: float) -> bool:
    """Whether that happens within so long."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


def printable(text: str) -> str:
    """Hostile words on one line of the journal."""
    return "".join(one if one.isprintable() else " " for one in text)[:300]
