"""Watches every agent: asks how it is, follows what it says, and tells when that changes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import httpx

from orchestrator.desk import News
from orchestrator.registry.agentapi import (
    AgentApi,
    AgentApiError,
    AgentFault,
    MessageUpdate,
    OddError,
    SilentError,
    StatusChange,
    Update,
)
from orchestrator.registry.conditions import Seen, condition
from orchestrator.registry.model import Agent, AgentHost, Money

POLL_S = 10.0
FAILURES = 2  # in a row, before an agent counts as silent
BACKOFF_S = (1.0, 60.0)  # between tries to follow it: from, to
KEPT = 4_000  # characters of its last message
ROOM = 512  # updates that wait for one who listens
END = None  # in a listener's queue: it was too slow, what it missed is found by asking

Tell = Callable[[News], None]


class Watcher:
    """One agent. `money` says what it may spend, asked each time."""

    def __init__(
        self,
        host: AgentHost,
        client: httpx.AsyncClient,
        tell: Tell,
        money: Callable[[], Money],
        *,
        off: bool = False,
        poll_s: float = POLL_S,
    ) -> None:
        self.host, self.api = host, AgentApi(client, host.url)
        self.task = 0
        self._tell, self._money, self._off, self._poll_s = tell, money, off, poll_s
        self._seen, self._failures = Seen(), 0
        self._listeners = set[asyncio.Queue[Update | None]]()
        self._shown = Agent(host)
        self.refresh()

    @property
    def agent(self) -> Agent:
        """How it is now."""
        return self._shown

    def refresh(self) -> None:
        """Look at what is known anew, and tell if something is different that people see."""
        now = time.time()
        how, said = condition(self.host, self._seen, self._money(), now, off=self._off)
        since = self._shown.since if how is self._shown.condition else now
        shown = Agent(self.host, how, since or now, said, self._money(), self.task)
        if shown != self._shown:
            self._shown = shown
            self._tell(News("agents", self.host.name))

    async def run(self) -> None:
        """Watch it until cancelled. One that is off, or has no address, is left alone."""
        if self._off or not self.host.url:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poll())
            group.create_task(self._follow())

    async def _poll(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._poll_s * random.uniform(0.8, 1.2))  # noqa: S311 - jitter

    async def look(self) -> None:
        """Ask it how it is, once."""
        try:
            status = await self.api.status()
        except AgentApiError as error:
            self._failures += 1
            if self._failures >= FAILURES and not self._seen.silent_since:
                refused = isinstance(error, SilentError) and error.refused
                awake = refused or isinstance(error, OddError)
                self._see(silent_since=time.time(), trouble=str(error), awake=awake)
        else:
            self._answers(status)

    async def _follow(self) -> None:
        """Follow what it says; after an end of that try again, later each time."""
        pause = BACKOFF_S[0]
        while True:
            began = time.monotonic()
            with suppress(AgentApiError):
                async with aclosing(self.api.updates()) as updates:
                    async for update in updates:
                        self._hear(update)
            if time.monotonic() - began > BACKOFF_S[1]:
                pause = BACKOFF_S[0]
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            pause = min(2 * pause, BACKOFF_S[1])

    def _hear(self, update: Update) -> None:
        match update:
            case StatusChange(status):
                self._answers(status)
            case MessageUpdate(message) if message.role == "agent":
                if (said := message.content[-KEPT:]) != self._seen.said:
                    self._see(said=said, changed=time.time(), fault="")
            case MessageUpdate(_):
                self._see(fault="")
            case AgentFault(text):
                self._see(fault=text[:KEPT] or "it has an error and does not say which")
        if isinstance(update, MessageUpdate):
            self._tell(News("said", self.host.name))
        for queue in tuple(self._listeners):
            _put(queue, update)

    def _answers(self, status: str) -> None:
        self._failures = 0
        changed = self._seen.changed if status == self._seen.status else time.time()
        self._see(silent_since=0.0, trouble="", status=status, changed=changed)

    def _see(self, **more: Any) -> None:  # noqa: ANN401 - fields of Seen
        self._seen = replace(self._seen, **more)
        self.refresh()

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[AsyncIterator[Update]]:
        """What it says from now on; ends early for a listener that is too slow."""
        queue = asyncio.Queue[Update | None](ROOM)
        self._listeners.add(queue)
        try:
            yield _all_of(queue)
        finally:
            self._listeners.discard(queue)


def _put(queue: asyncio.Queue[Update | None], update: Update) -> None:
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(END)
    else:
        queue.put_nowait(update)


async def _all_of(queue: asyncio.Queue[Update | None]) -> AsyncIterator[Update]:
    while (update := await queue.get()) is not END:
        yield update
