"""From an agent that was told to what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import time

from orchestrator.desk import News
from orchestrator.registry.agentapi import AgentApiError
from orchestrator.registry.model import Condition, Money
from orchestrator.tasks.guard import Guard, nearly_spent
from orchestrator.tasks.job import CONTROL_ERRORS, End, Job
from orchestrator.tasks.model import State
from orchestrator.tasks.outcome import answered, fault_of, substance
from orchestrator.tasks.stopping import stop
from orchestrator.tasks.view import View


class Following:
    """Follows one agent that was told. `doubt`: whether it is still the one that was told is to be
    asked before anything it says is believed.
    """

    def __init__(self, job: Job) -> None:
        self.job, self.doubt = job, True
        self._contact = self._said = time.monotonic()
        self._view = View(job.task.floor, (), self._contact)
        self._next_look = 0.0
        self._guard: Guard | None = None
        self._substance = 0
        self._counted: int | None = None  # of its money

    async def run(self) -> None:
        """Follow it to its End, which is raised."""
        task, now = self.job.task, time.monotonic()
        known = await self.job.work.ask(lambda store: store.records.messages(task.id, task.attempt))
        self._view = View(task.floor, known, now)
        self._substance = substance(known) if known else 0
        listening = asyncio.create_task(self._listen())
        try:
            while True:
                await self._step()
                await self.job.pause(self.job.work.times.beat)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)  # asking was enough, too
            await self._write()

    async def _listen(self) -> None:
        async with self.job.work.fleet.subscribe(self.job.task.host) as updates:
            async for update in updates:
                if not self.doubt:
                    self._view.hear(update, time.monotonic())

    async def _step(self) -> None:
        await self._obey()
        if time.monotonic() >= self._next_look:
            await self._look()
        await self._write()
        await self._watch_money()
        await self._see_end()

    async def _obey(self) -> None:
        order = self.job.order
        if order is None:
            return
        if order.at_once:
            raise End(order.state, order.words)
        raise End(order.state, f"{order.words}; {await self._stop()}")

    async def _stop(self) -> str:
        """Stop the agent, and hear the last of it; how that went."""
        how = await stop(self.job)
        with contextlib.suppress(End):  # lost or not, it is over
            await self._look()
        return how

    # the agent

    async def _look(self) -> None:
        """Ask the agent, and while in doubt its host, too. Raises End when it is lost."""
        times, api = self.job.work.times, self.job.api
        fault = ""
        try:
            status, messages = await api.status(), await api.messages()
            fault = await self._dispel() if self.doubt else ""
        except AgentApiError as error:
            fault, self.doubt = str(error), True
        now = time.monotonic()
        self._next_look = now + (times.again if fault else times.look)
        if fault:
            if now - self._contact > self._patience():
                raise End(State.LOST, f"{self.job.task.host} does not answer: {fault}")
            return
        self._contact = now
        if not self._view.correct(status, messages, now):
            self.doubt, self._next_look = True, now

    async def _dispel(self) -> str:
        """Ask the host whether it is still the same; why it does not say. Raises End: it is not."""
        try:
            there = await self.job.work.control.status(self.job.task.host)
        except CONTROL_ERRORS as error:
            return str(error)
        if words := self.job.differs(there):
            raise End(State.LOST, words, run="")
        self.doubt = False
        return ""

    def _patience(self) -> float:
        agent, times = self.job.work.agent(self.job.task.host), self.job.work.times
        return times.asleep if agent and agent.host.may_sleep else times.silent

    async def _write(self) -> None:
        """Keep what is new; this is called once a beat, however much an agent says."""
        new, task = self._view.unwritten(), self.job.task
        if new:
            await self.job.work.together.ask(
                lambda store: store.records.say(task.id, task.attempt, new)
            )
            self.job.work.bus.tell(News("messages", str(task.id)))
            now = substance(self._view.messages)
            if now != self._substance:
                self._substance, self._said = now, time.monotonic()
                if self._guard and (money := self.job.work.purses(task)):
                    self._guard.said(money)

    # money

    async def _watch_money(self) -> None:
        task, work = self.job.task, self.job.work
        money = work.purses(task)
        if money is None:
            return
        if self._guard is None:  # what was spent before we looked was no fault of this
            self._guard = Guard(money.of_session.spent if self._substance else 0)
        if (spent := money.of_session.spent) != self._counted:
            await work.count(task, spent)
            self._counted = spent
        words = nearly_spent(money)
        if words and task.warned != task.attempt:
            await self.job.note("guard", words, warned=task.attempt)
        if words := self._guard.objects(money) or self._in_vain(money):
            await self.job.note("guard", words)
            raise End(State.FAILED, f"{words}; {await self._stop()}")

    def _in_vain(self, money: Money) -> str:
        """Whether it tries on though nobody pays."""
        quiet = time.monotonic() - self._said
        if not money.refused or self._view.status == "stable":
            return ""
        return money.refused if quiet > self.job.work.times.refused else ""

    # the end

    async def _see_end(self) -> None:
        """Raise the End when the agent has answered, and is still the one that was told."""
        times, now = self.job.work.times, time.monotonic()
        still = self._view.still_for(now)
        if self.doubt or still < times.settle:
            return
        if not answered(self._view.messages, self._view.before):
            if still > times.mute:
                raise End(State.FAILED, "the agent stands still and says nothing")
            return
        changed, self.doubt = self._view.changed, True
        await self._look()
        if self.doubt or self._view.changed != changed:
            return
        if fault := self._fault():
            raise End(State.FAILED, fault)
        raise End(State.DONE)

    def _fault(self) -> str:
        if words := fault_of(self._view.messages):
            return words
        agent = self.job.work.agent(self.job.task.host)
        if agent and agent.condition is Condition.STUCK and agent.since >= self.job.task.sent:
            return f"the agent asks what nobody answers: {agent.said or 'it is in a dialog'}"
        return ""
