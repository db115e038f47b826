"""Gives waiting tasks to hosts, and carries on what was begun, whatever ended meanwhile."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from orchestrator.desk import News
from orchestrator.tasks.attempt import attempt
from orchestrator.tasks.job import Job, Order
from orchestrator.tasks.model import Choice, State, Task, Wish
from orchestrator.tasks.placement import Situation, choose
from orchestrator.tasks.store import NOT_TOLD, OrderError, Store
from orchestrator.tasks.work import Work

log = logging.getLogger("orchestrator")
HEEDED = frozenset({"agents", "tasks", "all"})  # news after which a task may find a host
SPENT_S = 60.0  # a session's last call is counted a while after its agent has answered


@dataclass
class _Running:
    job: Job
    task: asyncio.Task[State]
    host: str


@dataclass
class _Round:
    """What is known while tasks are given away: it changes with every one that is."""

    tasks: list[Task]
    states: Mapping[int, State]
    reasons: dict[int, str] = field(default_factory=dict)
    choices: dict[tuple[object, ...], Choice] = field(default_factory=dict)


class Dispatcher:
    """Runs all attempts. To be used in one event loop."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._running: dict[int, _Running] = {}
        self._shunned: dict[tuple[int, str], float] = {}  # until when
        self._ended: dict[int, tuple[Task, float]] = {}  # what may still cost something
        self.taken = set[str]()  # hosts that get nothing for the moment
        self.held: dict[str, str] = {}  # hosts whose money was taken away → by whom
        self._last = _Round([], {})
        self._tidied = 0.0

    async def prepare(self) -> None:
        """Before anything else: know who gets nothing. Who has left the fleet is forgotten."""
        for host, by in (await self._work.ask(lambda store: store.records.held())).items():
            if self._work.agent(host):
                self.held[host] = by
            else:
                await self._work.ask(partial(_let_go, host))

    async def run(self) -> None:
        """Until it is cancelled; what is under way is cut off then, and goes on at the next start.

        May raise sqlite3.Error.
        """
        try:
            async with self._work.bus.listen() as news:
                heard = asyncio.create_task(_heeded(news))
                try:
                    while True:
                        await self.round()
                        await asyncio.sleep(self._work.times.breath)
                        await asyncio.wait({heard}, timeout=self._work.times.round)
                        if heard.done():
                            heard = asyncio.create_task(_heeded(news))
                finally:
                    heard.cancel()
        finally:
            await self._cut_off()

    def order(self, number: int, order: Order) -> bool:
        """Have an attempt end; False when none is under way."""
        running = self._running.get(number)
        if running is None or running.task.done():
            return False
        running.job.give(order)
        return True

    async def ended(self, numbers: Iterable[int]) -> None:
        """Wait until these attempts are over."""
        tasks = {self._running[one].task for one in numbers if one in self._running}
        if tasks:
            await asyncio.wait(tasks)

    async def round(self) -> None:
        """Look at every task once."""
        self._reap()
        tasks = await self._work.ask(lambda store: store.in_progress())
        begun = [one for one in tasks if one.state is not State.QUEUED]
        if abandoned := [one for one in begun if one.id not in self._running]:
            for task in abandoned:
                await self._carry_on(task)
            tasks = await self._work.ask(lambda store: store.in_progress())
        await self._give_away(list(tasks))
        await self._count_last()
        await self._tidy()

    # what was begun

    def _reap(self) -> None:
        now = time.monotonic()
        for number, running in list(self._running.items()):
            if not running.task.done():
                continue
            del self._running[number]
            task = running.job.task
            if error := running.task.exception():
                log.error("task %d: %r", number, error, exc_info=error)
                self._shun(number, running.host)
            elif running.task.result() is State.QUEUED:
                self._shun(number, running.host)
            else:
                self._ended[number] = (task, now + SPENT_S)

    async def _carry_on(self, task: Task) -> None:
        """Of a task that nobody carries on: it was begun before this program was."""
        if task.state is not State.RESERVED or task.sent:
            if self._work.agent(task.host):
                self._start(task, _cancelled(task))
            else:
                await self._bereave(task)
            return
        to = State.CANCELLED if task.cancelling else State.QUEUED
        await self._change(task, to, "the service was started anew", **NOT_TOLD)

    async def _bereave(self, task: Task) -> None:
        """Of a task whose host has left the fleet: what became of it nobody will hear."""
        words = f"{task.host} is no agent's host in fleet.yaml any more"
        if task.state is State.LOST:
            await self._work.note(task.id, "note", words, run="")
        elif task.cancelling:
            await self._change(task, State.CANCELLED, words, run="")
        else:
            await self._change(task, State.LOST, words, reason=words, run="")

    def _start(self, task: Task, order: Order | None = None) -> None:
        job = Job(self._work, task)
        if order:
            job.give(order)
        self._running[task.id] = _Running(job, asyncio.create_task(attempt(job)), task.host)

    async def _cut_off(self) -> None:
        tasks = [running.task for running in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # what waits

    async def _give_away(self, tasks: list[Task]) -> None:
        waiting = [one for one in tasks if one.state is State.QUEUED]
        before = sorted({number for one in waiting for number in one.after})
        states = await self._work.ask(lambda store: store.states(before))
        now = self._last = _Round(tasks, states)
        for task in waiting:
            if task.id not in self._running:  # its last attempt may still be coming to its end
                await self._place(task, now)
        if now.reasons:
            await self._work.ask(lambda store: store.explain(now.reasons))
            for number in now.reasons:
                self._work.bus.tell(News("tasks", str(number)))

    async def _place(self, task: Task, now: _Round) -> None:
        words = _waits_for(task, now.states)
        if not words:
            choice = self._choice(task, now)
            if choice.host:
                values = {"host": choice.host, "why": choice.why, "reason": ""}
                reserved = await self._change(task, State.RESERVED, choice.why, **values)
                if reserved and choice.host in self.held:  # in this very moment
                    await self._change(reserved, State.QUEUED, "its host was stopped", **NOT_TOLD)
                elif reserved:
                    now.tasks.append(reserved)
                    now.choices.clear()
                    self._start(reserved)
                return
            if choice.hopeless:
                await self._change(task, State.FAILED, choice.why, reason=choice.why)
                return
            words = choice.why
        if words != task.reason:
            now.reasons[task.id] = words

    def _choice(self, task: Task, now: _Round) -> Choice:
        """The same question has the same answer until a host is given away."""
        shunned = self._shunned_by(task.id) | dict.fromkeys(self.taken, "is given a new session")
        key = (task.wish, task.cap, tuple(shunned), tuple(self.held))
        if key not in now.choices:
            work = self._work
            agents, budgets = work.fleet.agents(), work.money.budgets()
            situation = Situation.of(agents, budgets, now.tasks, self.held, shunned)
            now.choices[key] = choose(task.wish, task.cap, situation)
        return now.choices[key]

    def choose(self, wish: Wish, cap: int | None) -> Choice:
        """Where a task with this wish would run, as things were at the last look."""
        now, agents = self._last, self._work.fleet.agents()
        return choose(
            wish, cap, Situation.of(agents, self._work.money.budgets(), now.tasks, self.held)
        )

    async def _change(self, task: Task, to: State, words: str, **values: object) -> Task | None:
        """None when a person was faster."""
        try:
            return await self._work.change(task.id, to, words, "", **values)
        except OrderError as error:
            log.info("task %d: %s", task.id, error)
            return None

    def _shun(self, number: int, host: str) -> None:
        self._shunned[number, host] = time.monotonic() + self._work.times.shun

    def _shunned_by(self, number: int) -> dict[str, str]:
        now = time.monotonic()
        self._shunned = {key: until for key, until in self._shunned.items() if until > now}
        words = "could not begin it a moment ago"
        return {host: words for one, host in self._shunned if one == number}

    # what is left to do

    async def _count_last(self) -> None:
        for number, (task, until) in list(self._ended.items()):
            money = self._work.purses(task)
            if money is None or time.monotonic() > until or number in self._running:
                del self._ended[number]
            else:
                await self._work.count(task, money.of_session.spent)

    async def _tidy(self) -> None:
        now = time.monotonic()
        if self._tidied and now - self._tidied < self._work.times.tidy:
            return
        self._tidied = now
        if count := await self._work.ask(lambda store: store.records.forget_files()):
            log.info("%d files that nobody needs any more were removed", count)


def _let_go(host: str, store: Store) -> None:
    store.records.let_go(host)


def _cancelled(task: Task) -> Order | None:
    """The order that a person gave before this program was started."""
    return Order(State.CANCELLED, task.reason or "cancelled") if task.cancelling else None


def _waits_for(task: Task, states: Mapping[int, State]) -> str:
    """The step that has to be done before; one that failed holds those after it, and no others."""
    for number in task.after:
        state = states.get(number)
        if state is not State.DONE:
            what = f"task {number}"
            if state in {State.FAILED, State.CANCELLED, State.LOST}:
                return f"waits for {what}, which {_BECAME[state]}"
            return f"waits for {what}"
    return ""


_BECAME = {
    State.FAILED: "failed",
    State.CANCELLED: "was cancelled",
    State.LOST: "is lost",
}


async def _heeded(news: AsyncIterator[News]) -> None:
    async for one in news:
        if one.topic in HEEDED:
            return
