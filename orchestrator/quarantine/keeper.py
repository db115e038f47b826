"""Keeps the scheduler's list of blocks as the notes say: it forgets them when it restarts."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager

from orchestrator.quarantine.config import Config
from orchestrator.quarantine.console import Console, ConsoleError, conversation
from orchestrator.quarantine.notes import Notes

log = logging.getLogger("quarantine")
AGAIN_S = 30.0
ANSWER_S = 6.0  # a report waits that long to be told whether the scheduler has taken it
ROUNDS = 5  # a block removes one daemon at a time


class Keeper:
    """Compares notes and scheduler, and tells it what is missing there.

    `fault` says why it could not be done the last time; empty when it was.
    """

    def __init__(self, config: Config, notes: Notes) -> None:
        self.config, self.notes = config, notes
        self.fault = ""
        self._taken: frozenset[str] = frozenset()  # words that are in force, nobody being in
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Again and again. May raise sqlite3.Error."""
        while True:
            await self._soon()
            await asyncio.sleep(AGAIN_S)

    async def apply(self) -> bool:
        """Make it so now; whether that was tried. Waits for ANSWER_S, and goes on without us."""
        done, _ = await asyncio.wait({self._soon()}, timeout=ANSWER_S)
        return bool(done)

    def has_taken(self, worker: str) -> bool:
        """Whether the scheduler, when it was last asked, kept the worker out."""
        return self._taken.issuperset(self.words_of(worker))

    def owes(self, worker: str) -> bool:
        """Whether it may still keep out somebody whom the notes do not name any more."""
        return not self.notes.told().isdisjoint(self.words_of(worker))

    def words_of(self, worker: str) -> tuple[str, ...]:
        """What a worker is blocked by; one that has left the fleet by its name alone."""
        return self.config.workers.get(worker, (worker,))

    def _soon(self) -> asyncio.Task[None]:
        """A comparison that begins from now on: the one that waits for its turn serves all."""
        if self._next is None:
            self._next = asyncio.create_task(self._compare())
        return self._next

    async def _compare(self) -> None:
        async with self._turn:
            self._next = None
            workers = self.notes.workers()
            wanted = frozenset(word for worker in workers for word in self.words_of(worker))
            told, taken, fault = self.notes.told(), frozenset[str](), ""
            if wanted or told:
                try:
                    taken = await self._tell(wanted, told)
                except (OSError, TimeoutError, ConsoleError) as error:
                    fault = f"the scheduler does not answer: {error or 'it says nothing'}"
            self._settle(workers, taken, fault)

    def _settle(self, workers: tuple[str, ...], taken: frozenset[str], fault: str) -> None:
        before = {worker for worker in workers if self.has_taken(worker)}
        self._taken = taken
        for worker in sorted({one for one in workers if self.has_taken(one)} - before):
            log.info("the scheduler keeps %s out", worker)
        if fault and not self.fault:
            log.warning("%s", fault)
        self.fault = fault

    async def _tell(self, wanted: frozenset[str], told: frozenset[str]) -> frozenset[str]:
        """Bring the scheduler's list there; the words that are in force afterwards."""
        async with self._conversation() as console:
            self.notes.untold(await _lift(console, told - wanted))
            self.notes.tell(wanted)
            for word in sorted(wanted.difference(await console.blocks())):
                await console.block(word)
            there = wanted.intersection(await console.blocks())
        return there - await self._remove(wanted)

    async def _remove(self, words: frozenset[str]) -> frozenset[str]:
        """Remove who is in under one of these words; the words of those that stay in.

        A block removes one daemon, and a host may run several.
        """
        for _ in range(ROUNDS):
            async with self._conversation() as console:
                inside = words & {word for member in await console.members() for word in member}
            if not inside:
                break
            async with self._conversation() as console:
                for word in sorted(inside):
                    await console.remove(word)
        return inside

    def _conversation(self) -> AbstractAsyncContextManager[Console]:
        return conversation(self.config.scheduler, self.config.console)


async def _lift(console: Console, words: frozenset[str]) -> frozenset[str]:
    """Take words off the list, each as often as it is there; returns them."""
    for word in await console.blocks() if words else ():
        if word in words:
            await console.unblock(word)
    return words
