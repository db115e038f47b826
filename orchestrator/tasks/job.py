"""One attempt at one task: what its steps share, and how they say that it is over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from orchestrator.client import ServiceError
from orchestrator.registry.agentapi import AgentApiError, SilentError
from orchestrator.sessions import AgentError
from orchestrator.tasks.model import State, Task
from orchestrator.tasks.seams import Beginning
from orchestrator.tasks.work import Work, within

CONTROL_ERRORS = (AgentError, ServiceError)


class End(Exception):  # noqa: N818 - it is no error
    """The attempt comes to this state, in these words, with these fields."""

    def __init__(self, state: State, words: str = "", **values: object) -> None:
        super().__init__(words)
        self.state, self.words, self.values = state, words, values


class Gone(Exception):  # noqa: N818 - nor is this
    """A lost task's agent will not come back: it stays lost."""


@dataclass(frozen=True)
class Order:
    """What a person wants: the attempt ends in `state`. `at_once`: the agent needs no stopping."""

    state: State
    words: str
    by: str = ""
    at_once: bool = False


class Job:
    """A task that has a host, and the order to end it, if there is one."""

    def __init__(self, work: Work, task: Task) -> None:
        self.work, self.task = work, task
        self.api = work.fleet.api(task.host)
        self.order: Order | None = None
        self._ordered = asyncio.Event()

    def give(self, order: Order) -> None:
        """Have it end; one that is harder takes the place of an earlier one."""
        if self.order is None or order.at_once:
            self.order = order
        self._ordered.set()

    def obey(self) -> None:
        """Raise the End that was ordered: for as long as the agent was told nothing."""
        if self.order:
            raise End(self.order.state, self.order.words)

    async def pause(self, seconds: float) -> None:
        """Wait, but not with an order that waits."""
        await within(self._ordered, seconds)

    async def note(self, kind: str, text: str, by: str = "", **values: object) -> None:
        """Something happened, and these fields changed."""
        self.task = await self.work.note(self.task.id, kind, text, by, **values)

    async def change(self, to: State, text: str = "", by: str = "", **values: object) -> None:
        """It comes to another state."""
        self.task = await self.work.change(self.task.id, to, text, by, **values)

    def differs(self, there: Beginning) -> str:
        """Why what goes on on the host is not this attempt; empty: it is."""
        if there.session != self.task.session:
            return f"another session was begun on {self.task.host}"
        if there.run != self.task.run:
            return f"the agent's process on {self.task.host} was started anew"
        return ""

    async def not_begun(self, error: Exception) -> End:
        """What follows from a fault before the agent was told: nothing was done, money is safe.

        Another host may have the task when this one does not answer at all. Where it answers and
        says no, it would say so again: a person hears of it, unless retries are left.
        """
        task, words = self.task, str(error) or type(error).__name__
        if isinstance(error, SilentError | ServiceError) or await self._is_silent():
            return End(State.QUEUED, words)
        if task.retries > 0:
            return End(State.QUEUED, words, retries=task.retries - 1)
        return End(State.FAILED, words)

    async def _is_silent(self) -> bool:
        try:
            await self.api.status()
        except SilentError:
            return True
        except AgentApiError:
            return False
        return False
