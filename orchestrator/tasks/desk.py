"""The desk: everything that people may ask, answered by agents, tasks and plans."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from functools import partial
from types import TracebackType
from typing import TypeVar

from orchestrator.book import Book
from orchestrator.bus import Bus
from orchestrator.client import ServiceError
from orchestrator.config import Config
from orchestrator.desk import News, RefusedError, UnknownError
from orchestrator.health.report import Report
from orchestrator.registry.agentapi import AgentApiError
from orchestrator.registry.model import Agent, Budgets, Cluster, Stranger
from orchestrator.sessions import AgentError
from orchestrator.tasks.code import BadCodeError, check_bundle
from orchestrator.tasks.decisions import Decisions
from orchestrator.tasks.dispatch import Dispatcher
from orchestrator.tasks.job import Order
from orchestrator.tasks.model import (
    Attachment,
    Audit,
    Choice,
    Counts,
    Draft,
    Event,
    Message,
    Patch,
    Plan,
    State,
    Task,
    Wish,
)
from orchestrator.tasks.plans import Plans
from orchestrator.tasks.records import TooLargeError
from orchestrator.tasks.seams import Rest, Times
from orchestrator.tasks.store import OrderError, Store
from orchestrator.tasks.thinker import Thinker
from orchestrator.tasks.work import Work, printable

log = logging.getLogger("orchestrator")
audit_log = logging.getLogger("audit")
NAME_LENGTH = 200
PROMPT_LENGTH = 200_000
T = TypeVar("T")
HAS_IT = frozenset({State.RESERVED, State.RUNNING})
OpenRest = Callable[[Config, Bus], AbstractAsyncContextManager[Rest]]


class WorkDesk:
    """See orchestrator/desk.py, whose Desk this is. Open between `async with` and its end."""

    def __init__(self, config: Config, rest: OpenRest, times: Times | None = None) -> None:
        self._config, self._open_rest, self._times = config, rest, times or Times()
        self._bus = Bus()
        self._stack = AsyncExitStack()
        self._later = set[asyncio.Task[None]]()

    async def __aenter__(self) -> WorkDesk:
        """Open the store, find the fleet, and go on with every task. May raise sqlite3.Error."""
        config, bus = self._config, self._bus
        async with AsyncExitStack() as stack:
            book = Book("tasks", partial(Store, config.database))
            stack.callback(book.close)
            # What is only read waits for no write: a disk may take its time to promise one.
            self._read = Book("reading", partial(Store, config.database, read_only=True))
            stack.callback(self._read.close)
            self._rest = rest = await stack.enter_async_context(self._open_rest(config, bus))
            self._work = work = Work(book, rest, rest, rest, bus, self._times)
            stack.push_async_callback(work.together.settled)
            self._plans = Plans(work, self._issue, self._thinker)
            await self._plans.start()
            stack.push_async_callback(self._plans.stop)
            self._dispatcher = Dispatcher(work)
            await self._dispatcher.prepare()
            self._decisions = Decisions(work, self._dispatcher)
            loop = asyncio.create_task(self._dispatcher.run())
            loop.add_done_callback(_end_with)
            stack.push_async_callback(_ended, loop)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End in good order; what is under way goes on at the next start."""
        await self._stack.aclose()

    async def _issue(self) -> tuple[str, str]:
        return await self._rest.issue(self._config.planner, self._config.plan_cap, "plan")

    def _thinker(self, token: str) -> Thinker:
        config = self._config
        return Thinker(config.claude, config.gateway_url, token, config.plan_cap)

    # agents

    def agents(self) -> tuple[Agent, ...]:
        """See Desk."""
        return self._rest.agents()

    def strangers(self) -> tuple[Stranger, ...]:
        """See Desk."""
        return self._rest.strangers()

    async def conversation(self, host: str) -> tuple[Message, ...]:
        """See Desk."""
        self._known(host)
        with _refusals():
            return await self._rest.conversation(host)

    async def say(self, host: str, text: str, by: str, *, raw: bool = False) -> None:
        """See Desk."""
        self._known(host)
        await self._without_task(host)
        api = self._rest.api(host)
        with _refusals():
            await (api.press(text) if raw else api.say(text))
        log.info("%s said something to %s", printable(by), host)

    async def new_session(self, host: str, by: str) -> str:
        """See Desk. The host may have tasks again, whoever took its money away."""
        self._known(host)
        if host in self._dispatcher.taken:
            raise RefusedError(f"{host} is being given a new session already")
        self._dispatcher.taken.add(host)
        try:
            await self._without_task(host)
            with _refusals():
                session = await self._rest.new_session(host, None)
            await self._work.ask(lambda store: store.records.let_go(host))
            self._dispatcher.held.pop(host, None)
        finally:
            self._dispatcher.taken.discard(host)
        log.info("%s began %s on %s", printable(by), session, host)
        self._bus.tell(News("agents", host))
        return session

    async def kill(self, hosts: Sequence[str], by: str) -> tuple[str, ...]:
        """See Desk. They get no task until a person begins a session there."""
        hit = tuple(dict.fromkeys(hosts)) or tuple(one.host.name for one in self.agents())
        for host in hit:
            self._known(host)
        self._dispatcher.held |= dict.fromkeys(hit, by)  # first of all: nothing is given there
        await self._work.ask(lambda store: store.records.hold(hit, by))
        with _refusals():
            await self._rest.kill(hit)
        order = Order(State.FAILED, f"its money was taken away by {by}", by, at_once=True)
        tasks = await self._work.ask(lambda store: store.in_progress())
        there = [one for one in tasks if one.host in hit and one.state in HAS_IT]
        ending = [one for one in there if self._dispatcher.order(one.id, order)]
        # A session that was being issued in this moment was not among those that were killed.
        late = [one for one in ending if one.state is State.RESERVED]
        if late:
            task = asyncio.create_task(self._kill_again(late))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
        for host in hit:
            self._bus.tell(News("agents", host))
        return hit

    async def _kill_again(self, tasks: Sequence[Task]) -> None:
        await self._dispatcher.ended(one.id for one in tasks)
        try:
            await self._rest.kill([one.host for one in tasks])
        except ServiceError as error:
            log.error("sessions that began meanwhile were not killed: %s", error)

    async def drain(self, host: str, by: str) -> None:
        """See Desk."""
        self._known(host)
        self._dispatcher.held.setdefault(host, by)
        await self._work.ask(lambda store: store.records.hold((host,), by))
        log.info("%s drains %s", printable(by), host)
        self._bus.tell(News("agents", host))

    async def give_up(self, host: str, by: str) -> tuple[int, ...]:
        """See Desk."""
        self._known(host)
        with _refusals():
            await self._rest.kill((host,))
        tasks = await self._work.ask(lambda store: store.in_progress())
        there = [one for one in tasks if one.host == host and one.state is not State.QUEUED]
        words = f"{host} was given up by {by}"
        for task in there:
            if task.state is State.LOST:  # nobody waits for it any more
                await self._work.note(task.id, "note", words, by, run="")
        order = Order(State.LOST, words, by, at_once=True)
        numbers = tuple(one.id for one in there)
        await self._dispatcher.ended([one for one in numbers if self._dispatcher.order(one, order)])
        return numbers

    def budgets(self) -> Budgets:
        """See Desk."""
        return self._rest.budgets()

    def cluster(self) -> Cluster:
        """See Desk."""
        return self._rest.cluster()

    def health(self) -> Report | None:
        """See Desk."""
        return self._rest.health()

    def unwatched(self) -> str:
        """See Desk."""
        return self._rest.unwatched()

    def _known(self, host: str) -> None:
        if self._work.agent(host) is None:
            raise UnknownError(f"there is no agent on {host}")

    async def _without_task(self, host: str) -> None:
        tasks = await self._work.ask(lambda store: store.in_progress())
        for task in tasks:
            if task.host == host and task.state in HAS_IT:
                raise RefusedError(f"task {task.id} is on {host}: cancel it first")

    # tasks

    async def tasks(
        self, states: Sequence[State] = (), *, before: int = 0, most: int = 50, plan: int = 0
    ) -> tuple[Task, ...]:
        """See Desk."""
        return await self._read.ask(
            lambda store: store.tasks(states, before=before, most=most, plan=plan)
        )

    async def counts(self) -> Counts:
        """See Desk."""
        return await self._read.ask(lambda store: store.counts())

    async def task(self, number: int) -> Task:
        """See Desk."""
        return await self._of(number, lambda _, task: task)

    async def events(self, number: int) -> tuple[Event, ...]:
        """See Desk."""
        return await self._of(number, lambda store, task: store.events(task.id))

    async def messages(self, number: int, attempt: int = 0) -> tuple[Message, ...]:
        """See Desk."""
        return await self._of(
            number,
            lambda store, task: store.records.messages(task.id, attempt or task.attempt),
        )

    async def patch(self, number: int, attempt: int = 0) -> Patch | None:
        """See Desk."""
        return await self._of(number, lambda store, task: store.records.patch(task.id, attempt))

    async def _of(self, number: int, what: Callable[[Store, Task], T]) -> T:
        """What the store says of a task: one question, since each waits for its turn."""
        with _refusals(f"task {number}"):
            return await self._read.ask(lambda store: what(store, store.task(number)))

    def choose(self, wish: Wish, cap: int | None = None) -> Choice:
        """See Desk."""
        return self._dispatcher.choose(wish, cap)

    async def keep(self, name: str, content: bytes) -> Attachment:
        """See Desk."""
        _require_name(name)
        with _refusals():
            return await self._work.ask(lambda store: store.records.keep(name, content))

    async def send(self, draft: Draft, by: str) -> Task:
        """See Desk. What no host could ever do is refused."""
        if not draft.prompt.strip() or len(draft.prompt) > PROMPT_LENGTH:
            raise RefusedError(f"a prompt has 1 to {PROMPT_LENGTH} characters")
        if draft.cap is not None and draft.cap <= 0:
            raise RefusedError("a task may spend more than nothing")
        for file in draft.attachments:
            _require_name(file.name)
        choice = self.choose(draft.wish, draft.cap)
        if choice.hopeless:
            raise RefusedError(choice.why)
        with _refusals("one of its files"):
            if code := draft.code:
                bundle = await self._work.ask(lambda store: store.records.content(code.bundle))
                check_bundle(code, bundle)
            task = await self._work.ask(lambda store: store.add(draft, by))
        self._work.tell(task)
        return task

    async def cancel(self, number: int, by: str) -> Task:
        """See Desk."""
        with _refusals(f"task {number}"):
            return await self._decisions.cancel(number, by)

    async def retry(self, number: int, by: str) -> Task:
        """See Desk."""
        with _refusals(f"task {number}"):
            return await self._decisions.retry(number, by)

    async def settle(self, number: int, by: str) -> Task:
        """See Desk."""
        with _refusals(f"task {number}"):
            return await self._decisions.settle(number, by)

    # plans

    async def plans(self, *, before: int = 0, most: int = 50) -> tuple[Plan, ...]:
        """See Desk."""
        return await self._read.ask(lambda store: store.records.plans(before=before, most=most))

    async def plan(self, number: int) -> Plan:
        """See Desk."""
        with _refusals(f"plan {number}"):
            return await self._read.ask(lambda store: store.records.plan(number))

    async def think(self, goal: str, by: str, *, at_once: bool = False) -> Plan:
        """See Desk. The plan is made after this has returned."""
        if len(goal) > PROMPT_LENGTH:
            raise RefusedError(f"a goal has at most {PROMPT_LENGTH} characters")
        return await self._plans.think(goal, by, at_once=at_once)

    async def change(
        self, number: int, prompt: str, wish: Wish, after: Sequence[int], by: str
    ) -> Task:
        """See Desk."""
        with _refusals(f"task {number}"):
            return await self._plans.change(number, prompt, wish, after, by)

    async def drop(self, number: int, by: str) -> None:
        """See Desk."""
        with _refusals(f"task {number}"):
            await self._plans.drop(number, by)

    async def approve(self, plan: int, by: str) -> Plan:
        """See Desk."""
        with _refusals(f"plan {plan}"):
            return await self._plans.approve(plan, by)

    async def discard(self, plan: int, by: str) -> Plan:
        """See Desk."""
        with _refusals(f"plan {plan}"):
            return await self._plans.discard(plan, by)

    # what happened

    async def audit(self, entry: Audit) -> None:
        """See Desk."""
        said = (entry.who, entry.where, entry.action, entry.what)
        audit_log.info("%s from %s: %s %s", *map(printable, said))
        await self._work.ask(lambda store: store.records.audit(entry))

    async def audits(self, *, before: int = 0, most: int = 100) -> tuple[Audit, ...]:
        """See Desk."""
        return await self._read.ask(lambda store: store.records.audits(before=before, most=most))

    def news(self) -> AbstractAsyncContextManager[AsyncIterator[News]]:
        """See Desk."""
        return self._bus.listen()


def _require_name(name: str) -> None:
    """A file's name, which becomes one at an agent's host. Raises RefusedError."""
    if not name or len(name) > NAME_LENGTH or "/" in name or not name.isprintable():
        raise RefusedError("a file has a name without slashes and control characters")
    if name in {".", ".."}:
        raise RefusedError("that is no file's name")


@contextmanager
def _refusals(what: str = "") -> Iterator[None]:
    """Faults as whoever asked hears them."""
    try:
        yield
    except KeyError:
        raise UnknownError(f"there is no {what}" if what else "there is no such thing") from None
    except (
        OrderError,
        TooLargeError,
        BadCodeError,
        AgentError,
        AgentApiError,
        ServiceError,
    ) as error:
        raise RefusedError(str(error)) from None


def _end_with(loop: asyncio.Task[None]) -> None:
    """A page that dispatches nothing would be a lie: the service ends, and is started anew."""
    if not loop.cancelled() and (error := loop.exception()):
        log.critical("tasks cannot go on: %s", error)
        signal.raise_signal(signal.SIGTERM)


async def _ended(loop: asyncio.Task[None]) -> None:
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
