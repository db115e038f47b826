"""What people decide of single tasks: cancel, try again, take for done."""

from __future__ import annotations

import asyncio

from orchestrator.desk import RefusedError
from orchestrator.tasks.dispatch import Dispatcher
from orchestrator.tasks.job import Order
from orchestrator.tasks.model import State, Task
from orchestrator.tasks.store import OrderError
from orchestrator.tasks.work import Work

TRIES = 100  # a task changes its state under somebody's hands seldom, and not for ever


class Decisions:
    """Each of them may raise KeyError, OrderError and RefusedError."""

    def __init__(self, work: Work, dispatcher: Dispatcher) -> None:
        self._work, self._dispatcher = work, dispatcher

    async def cancel(self, number: int, by: str) -> Task:
        """At once where nobody was told; else its attempt has the order to stop the agent."""
        words = f"cancelled by {by}"
        for _ in range(TRIES):
            task = await self._task(number)
            if task.state in {State.DONE, State.FAILED, State.CANCELLED}:
                raise RefusedError(f"task {number} is {task.state.value}")
            if task.state in {State.DRAFT, State.QUEUED, State.LOST}:
                if cancelled := await self._cancel_now(task, words, by):
                    return cancelled
            elif self._dispatcher.order(number, Order(State.CANCELLED, words, by)):
                task = await self._work.ask(lambda store: store.cancelling(number, words, by))
                self._work.tell(task)
                if task.state is not State.QUEUED:  # back there it is cancelled as one that waits
                    return task
            await asyncio.sleep(self._work.times.breath)
        raise RefusedError(f"task {number} is between two states: try again")

    async def _cancel_now(self, task: Task, words: str, by: str) -> Task | None:
        if task.state is State.LOST:
            await self._let_go(task)
        try:
            return await self._work.change(
                task.id, State.CANCELLED, "", by, reason=words, cancelling=False, run=""
            )
        except OrderError:  # it has found its host, or come back
            return None

    async def retry(self, number: int, by: str) -> Task:
        """Another attempt; an earlier one that may still go on somewhere is paid no more."""
        task = await self._task(number)
        needed = [one.sha256 for one in task.attachments]
        for digest in [*needed, *([task.code.bundle] if task.code else [])]:
            if not await self._has(digest):
                raise RefusedError("its files are not kept any more: send the task anew")
        if task.state is State.LOST:
            await self._let_go(task)
        task = await self._work.ask(lambda store: store.again(number, by))
        self._work.tell(task)
        return task

    async def settle(self, number: int, by: str) -> Task:
        """A lost task is done after all."""
        task = await self._task(number)
        if task.state is not State.LOST:
            raise RefusedError(f"task {number} is {task.state.value}, not lost")
        await self._let_go(task)
        words = f"{by} says that it is done"
        return await self._work.change(number, State.DONE, words, by, reason="", run="")

    async def _let_go(self, task: Task) -> None:
        """Nobody waits any more for a lost task's agent, and it has no money to go on with."""
        words = "a person has decided"
        if self._dispatcher.order(task.id, Order(State.CANCELLED, words, at_once=True)):
            await self._dispatcher.ended([task.id])
        await self._work.end_session(task.session)

    async def _task(self, number: int) -> Task:
        return await self._work.ask(lambda store: store.task(number))

    async def _has(self, digest: str) -> bool:
        return await self._work.ask(lambda store: store.records.has(digest))
