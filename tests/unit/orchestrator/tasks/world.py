"""A fleet that is not there: agents that do as their prompts say, hosts, and money.

An agent with a `path` keeps its state there, so that it outlives the process that talks to it.

say WORDS       those words, at once
hang            works until it is interrupted
stubborn        works, and is not interrupted by anything but a new session
mute            stands still without a word
error WORDS     what Claude Code prints for an error
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.book import Book
from orchestrator.bus import Bus
from orchestrator.client import GatewayError
from orchestrator.config import Config
from orchestrator.desk import News
from orchestrator.registry.agentapi import (
    MessageUpdate,
    NotReadyError,
    SilentError,
    StatusChange,
    UncertainError,
    Update,
)
from orchestrator.registry.model import (
    Agent,
    AgentHost,
    Budgets,
    Cluster,
    Condition,
    Money,
    Purse,
    Stranger,
)
from orchestrator.sessions import AgentError
from orchestrator.tasks.dispatch import Dispatcher
from orchestrator.tasks.model import OPEN, Draft, Event, Message, State, Task
from orchestrator.tasks.seams import Times
from orchestrator.tasks.store import Store
from orchestrator.tasks.work import Work
from tests.unit.orchestrator.tasks.fleets import HOSTS, USD

PATIENCE_S = 20.0  # how long a test waits for what must happen
QUICK = Times(
    round=0.05,
    breath=0.002,
    beat=0.005,
    gather=0.0,
    look=0.02,
    settle=0.02,
    mute=0.2,
    again=0.01,
    start=0.3,
    ready=0.2,
    known=0.1,
    silent=0.2,
    asleep=0.2,
    escape=0.05,
    stop=0.3,
    refused=0.05,
    shun=0.05,
)


class FakeAgent:
    """One agent and its host. `prompts` is all that it was ever told, over all its sessions."""

    def __init__(self, name: str, path: Path | None = None) -> None:
        self.name, self._path = name, path
        self.session, self.run, self.state = "s-0", "r-0", "stable"
        self.said: list[Message] = []
        self.prompts: list[str] = []
        self.began = 0
        self.files: dict[str, bytes] = {}
        self.code: dict[str, bytes] = {}
        self.patched: bytes | AgentError = b""
        self.pressed = 0
        self.silent = False  # its AgentAPI
        self.away = False  # its host
        self.hears: list[Callable[[str], None]] = []  # what the next prompts meet, if not this
        self.listeners: set[asyncio.Queue[Update]] = set()
        if path and path.exists():
            kept = json.loads(path.read_text())
            self.said = [Message(**one) for one in kept.pop("said")]
            vars(self).update(kept)

    def _keep(self) -> None:
        if self._path:
            names = ("session", "run", "state", "prompts", "began")
            kept = {name: getattr(self, name) for name in names}
            kept["said"] = [vars(one) for one in self.said]
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps(kept))
            new.replace(self._path)

    # what it does

    def add(self, role: str, content: str) -> None:
        """Something is said."""
        self.put(Message(len(self.said), role, content, time.time()))

    def put(self, message: Message) -> None:
        """Something is said, or grows."""
        self.said[message.number :] = [message]
        self._keep()
        for listener in self.listeners:
            listener.put_nowait(MessageUpdate(message))

    def stand(self, state: str) -> None:
        """It works, or stands still."""
        self.state = state
        self._keep()
        for listener in self.listeners:
            listener.put_nowait(StatusChange(state))

    def restart(self) -> None:
        """Its process ends, and another one begins."""
        self.run += "x"
        self.stand("stable")

    def hear(self, text: str) -> None:
        """A prompt arrives."""
        self.prompts.append(text)
        self.add("user", text)
        verb, _, words = text.splitlines()[0].partition(" ")
        if verb == "say":
            self.add("agent", f"● {words}")
        elif verb == "error":
            self.add("agent", f"● API Error: {words}")
        elif verb in {"hang", "stubborn"}:
            self.add("agent", "● Working")
            self.stand("running")

    # AgentAPI

    def _answer(self) -> None:
        if self.silent:
            raise SilentError(f"{self.name}: connection refused")

    async def status(self) -> str:
        self._answer()
        return self.state

    async def messages(self) -> tuple[Message, ...]:
        self._answer()
        return tuple(self.said)

    async def say(self, text: str) -> None:
        self._answer()
        if self.hears:
            self.hears.pop(0)(text)
        elif self.state != "stable":
            raise NotReadyError("message can only be sent when the agent is waiting")
        else:
            self.hear(text)

    async def press(self, keys: str) -> None:
        self._answer()
        assert keys == "\x1b"
        assert self.state == "running", "Escape opens a dialog while it stands still"
        self.pressed += 1
        if not self.prompts[-1].startswith("stubborn"):
            self.add("agent", "Interrupted")
            self.stand("stable")

    async def upload(self, name: str, content: bytes) -> str:
        self._answer()
        self.files[name] = content
        return f"/uploads/{name}"

    # its host

    def begin(self) -> str:
        if self.away:
            raise AgentError(f"{self.name}: no route to host")
        self.began += 1
        self.session, self.run = f"{self.name}-{self.began}", f"r-{self.began}"
        self.said = []
        self.add("agent", "Welcome")
        self.stand("stable")
        return self.session


@dataclass(frozen=True)
class There:
    session: str
    run: str


class World:
    """All of it, as `Work` sees it."""

    def __init__(self, path: Path, *, kept: bool = False) -> None:
        self.path = path
        self.fakes = {
            one.name: FakeAgent(one.name, path / f"{one.name}.json" if kept else None)
            for one in HOSTS
        }
        self.conditions = {one.name: (Condition.IDLE, 0.0, "") for one in HOSTS}
        self.hosts: tuple[AgentHost, ...] = HOSTS
        self.tasks: dict[str, int] = {}
        self.caps: list[int | None] = []
        self.spent: dict[str, int] = {}  # by host
        self.cap = 5 * USD
        self.near: set[str] = set()
        self.refused: dict[str, str] = {}
        self.ended: list[str] = []
        self.issued: list[tuple[str, int, str]] = []
        self.killed: list[tuple[str, ...]] = []
        self.bus = Bus()

    # Fleet

    def agents(self) -> tuple[Agent, ...]:
        return tuple(
            Agent(
                host,
                (known := self.conditions[host.name])[0],
                known[1],
                known[2],
                task=self.tasks.get(host.name, 0),
            )
            for host in self.hosts
        )

    def condition(self, host: str, condition: Condition, said: str = "") -> None:
        self.conditions[host] = (condition, time.time(), said)
        self.bus.tell(News("agents", host))

    def api(self, name: str) -> FakeAgent:
        return self.fakes[name]

    @asynccontextmanager
    async def subscribe(self, name: str) -> AsyncIterator[AsyncIterator[Update]]:
        queue: asyncio.Queue[Update] = asyncio.Queue()
        self.fakes[name].listeners.add(queue)

        async def updates() -> AsyncIterator[Update]:
            while True:
                yield await queue.get()

        try:
            yield updates()
        finally:
            self.fakes[name].listeners.discard(queue)

    def assign(self, name: str, task: int) -> None:
        assert name not in self.tasks, "one task a host at a time"
        self.tasks[name] = task

    def release(self, name: str) -> None:
        del self.tasks[name]
        self.bus.tell(News("agents", name))

    # Control

    async def status(self, host: str) -> There:
        fake = self.fakes[host]
        if fake.away:
            raise AgentError(f"{host}: no route to host")
        return There(fake.session, fake.run)

    async def new_session(self, host: str, cap: int | None) -> str:
        session = self.fakes[host].begin()
        self.caps.append(cap)
        self.spent[host] = 0
        return session

    async def bring_code(self, host: str, name: str, commit: str, bundle: bytes) -> str:
        self.fakes[host].code[f"{name} {commit}"] = bundle
        return f"/home/agent/work/{name}"

    async def patch(self, host: str, name: str, commit: str) -> bytes:
        found = self.fakes[host].patched
        if isinstance(found, AgentError):
            raise found
        return found

    # Money

    def budgets(self) -> Budgets:
        return Budgets({host: self._money(host) for host in self.fakes})

    def _money(self, host: str) -> Money:
        purse = Purse(self.spent.get(host, 0), self.cap)
        session = self.fakes[host].session
        return Money(session, purse, Purse(), host in self.near, self.refused.get(host, ""))

    async def end(self, session: str) -> None:
        if session == "gone":
            raise GatewayError("no such session")
        self.ended.append(session)

    async def issue(self, host: str, cap: int, purpose: str) -> tuple[str, str]:
        self.issued.append((host, cap, purpose))
        return f"plan-{len(self.issued)}", "agentfleet-token"

    async def kill(self, hosts: Sequence[str]) -> None:
        self.killed.append(tuple(hosts))

    # the rest

    def strangers(self) -> tuple[Stranger, ...]:
        return ()

    def health(self) -> None:
        return None

    def unwatched(self) -> str:
        return ""

    def cluster(self) -> Cluster:
        return Cluster(fault="not asked")

    async def conversation(self, host: str) -> tuple[Message, ...]:
        return await self.fakes[host].messages()

    @asynccontextmanager
    async def opened(self, _: Config, bus: Bus) -> AsyncIterator[World]:
        """As the desk opens it."""
        self.bus = bus
        yield self

    # work on it

    @contextmanager
    def work(self, **times: float) -> Iterator[Work]:
        book = Book("tasks", lambda: Store(self.path / "tasks.sqlite"))
        try:
            yield Work(book, self, self, self, self.bus, replace(QUICK, **times))
        finally:
            book.close()

    @asynccontextmanager
    async def dispatched(self, **times: float) -> AsyncIterator[Running]:
        with self.work(**times) as work:
            dispatcher = Dispatcher(work)
            running = asyncio.create_task(dispatcher.run())
            try:
                yield Running(self, work, dispatcher, running)
            finally:
                if not running.done():
                    running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        if not running.cancelled() and (error := running.exception()):
            raise error


@dataclass(frozen=True)
class Running:
    """A dispatcher at work, and what tests ask of it."""

    world: World
    work: Work
    dispatcher: Dispatcher
    loop: asyncio.Task[None]

    async def send(self, prompt: str, **more: Any) -> Task:
        draft = more.pop("draft", Draft(prompt))
        task = await self.work.ask(lambda store: store.add(draft, "ann", **more))
        self.work.tell(task)
        return task

    async def task(self, number: int) -> Task:
        return await self.work.ask(lambda store: store.task(number))

    async def until(self, number: int, *states: State) -> Task:
        """The task, once it is in one of these states."""
        return await self.when(number, lambda task: task.state in states)

    async def followed(self, number: int) -> None:
        """The agent works, and what it says is believed."""
        await self.until(number, State.RUNNING)
        async with asyncio.timeout(PATIENCE_S):
            while not await self.messages(number):
                await asyncio.sleep(0.005)

    async def when(self, number: int, what: Callable[[Task], bool]) -> Task:
        goes_on = (State.DRAFT, (await self.task(number)).state)
        async with asyncio.timeout(PATIENCE_S):
            while not what(task := await self.task(number)):
                assert task.state in goes_on or task.state in OPEN, task
                if self.loop.done():
                    self.loop.result()
                await asyncio.sleep(0.005)
            return task

    async def events(self, number: int) -> tuple[Event, ...]:
        return await self.work.ask(lambda store: store.events(number))

    async def messages(self, number: int) -> list[tuple[str, str]]:
        attempt = (await self.task(number)).attempt
        said = await self.work.ask(lambda store: store.records.messages(number, attempt))
        return [(one.role, one.content) for one in said]


def uncertain(_: str) -> None:
    """A prompt that goes nowhere, and nobody knows."""
    raise UncertainError("no answer came")
