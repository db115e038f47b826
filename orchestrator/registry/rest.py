"""All that the desk needs besides tasks, put together (orchestrator/tasks/seams.Rest)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx

from orchestrator.bus import Bus
from orchestrator.client import Gateway, Quarantine
from orchestrator.config import Config
from orchestrator.desk import News, UnknownError
from orchestrator.health.report import Report
from orchestrator.registry.agentapi import AgentApi, Update, new_client
from orchestrator.registry.compiling import Compiling
from orchestrator.registry.control import Control
from orchestrator.registry.looked import Looked
from orchestrator.registry.model import Agent, Budgets, Cluster, Stranger
from orchestrator.registry.money import Purses
from orchestrator.registry.strangers import Strangers
from orchestrator.registry.watch import Tell, Watcher
from orchestrator.sessions import Agents
from orchestrator.tasks.model import Message
from orchestrator.tasks.payments import Payments


class Registry(Control, Payments):
    """The fleet's agents, their money, and the compile cluster. Open between `opened` and its end.

    Implements orchestrator/tasks/seams.Rest.
    """

    def __init__(self, config: Config, client: httpx.AsyncClient, tell: Tell) -> None:
        gateway, quarantine = Gateway(config.gateway), Quarantine(config.quarantine)
        Control.__init__(self, Agents.read(config.reached), gateway)
        Payments.__init__(self, gateway)
        self._tell = tell
        self._purses = Purses(gateway, self._money_changed)
        self._compiling = Compiling(config, quarantine, lambda: tell(News("cluster")))
        self._looked = Looked(config, lambda: tell(News("health")))
        self._strangers = Strangers(config, client, lambda: tell(News("agents")))
        self._watchers = {
            host.name: Watcher(
                host,
                client,
                tell,
                lambda name=host.name: self._purses.of(name),  # type: ignore[misc]
                off=host.name in config.off,
            )
            for host in config.agents
        }

    def _money_changed(self) -> None:
        self._tell(News("costs"))
        for watcher in self._watchers.values():
            watcher.refresh()

    async def run(self) -> None:
        """Watch everything until cancelled."""
        async with asyncio.TaskGroup() as group:
            for part in (self._purses, self._compiling, self._strangers, self._looked):
                group.create_task(part.run())
            for watcher in self._watchers.values():
                group.create_task(watcher.run())

    # agents

    def agents(self) -> tuple[Agent, ...]:
        """All, in fleet.yaml's order."""
        return tuple(watcher.agent for watcher in self._watchers.values())

    def strangers(self) -> tuple[Stranger, ...]:
        """See Desk.strangers."""
        return self._strangers.found

    def api(self, name: str) -> AgentApi:
        """One's AgentAPI."""
        return self._watcher(name).api

    def subscribe(self, name: str) -> AbstractAsyncContextManager[AsyncIterator[Update]]:
        """What one says from now on."""
        return self._watcher(name).subscribe()

    async def conversation(self, host: str) -> tuple[Message, ...]:
        """See Desk.conversation. Raises AgentApiError."""
        return await self.api(host).messages()

    def assign(self, name: str, task: int) -> None:
        """It works on a task."""
        self._watcher(name).task = task
        self._watcher(name).refresh()

    def release(self, name: str) -> None:
        """It works on none."""
        self.assign(name, 0)

    def _watcher(self, name: str) -> Watcher:
        try:
            return self._watchers[name]
        except KeyError:
            raise UnknownError(f"there is no agent on {name}") from None

    # money

    async def ask_for_money(self) -> None:
        """Hear from the gateway now."""
        await self._purses.ask()

    def budgets(self) -> Budgets:
        """The last that the gateway told."""
        return self._purses.budgets

    async def kill(self, hosts: Sequence[str]) -> None:
        """The gateway pays for nothing there any more. Raises ServiceError."""
        await super().kill(hosts)
        await self._purses.ask()

    # the compile cluster

    def cluster(self) -> Cluster:
        """See Desk.cluster."""
        return self._compiling.cluster

    # the monitoring

    def health(self) -> Report | None:
        """See Desk.health."""
        return self._looked.report

    def unwatched(self) -> str:
        """See Desk.unwatched."""
        return self._looked.silence()


@asynccontextmanager
async def open_registry(config: Config, bus: Bus) -> AsyncIterator[Registry]:
    """The registry, watching. Raises AgentError when agents.json cannot be used."""
    async with new_client() as client:
        registry = Registry(config, client, bus.tell)
        await registry.ask_for_money()  # nobody is placed while it is unknown
        watching = asyncio.create_task(registry.run())
        try:
            yield registry
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
