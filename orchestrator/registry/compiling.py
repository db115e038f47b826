"""The compile cluster as its scheduler and the quarantine tell, asked again and again.

Daemons call themselves what they like, so every word of it is shown as text and believed of nobody
but a host of the fleet that is at its own address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from orchestrator.client import Quarantine, ServiceError
from orchestrator.config import Config
from orchestrator.quarantine.console import ConsoleError, Member, conversation
from orchestrator.registry.model import Cluster, Node

POLL_S = 10.0
JOBS_SHOWN = 100
LINE_SHOWN = 300  # characters of a job's line


class Compiling:
    """The cluster, as it was told last. `changed` is called when it is another."""

    def __init__(self, config: Config, quarantine: Quarantine, changed: Callable[[], None]) -> None:
        self._config, self._quarantine, self._changed = config, quarantine, changed
        self.cluster = Cluster(fault="the scheduler was not asked yet")

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(POLL_S)

    async def ask(self) -> None:
        """Ask now."""
        before = self.cluster
        blocked = await self._blocked()
        try:
            jobs, members = await self._scheduler()
        except (ConsoleError, OSError, TimeoutError) as error:
            fault = f"the scheduler does not answer: {str(error) or type(error).__name__}"
            self.cluster = Cluster(blocked=blocked, fault=fault)
        else:
            self.cluster = describe(self._config, members, jobs, blocked)
        if self.cluster != before:
            self._changed()

    async def _scheduler(self) -> tuple[list[str], list[Member]]:
        async with conversation(self._config.scheduler, self._config.console) as console:
            jobs = await console.jobs()
            return jobs, await console.daemons()

    async def _blocked(self) -> dict[str, str] | None:
        """Worker → why; None when the quarantine does not answer."""
        try:
            said = (await asyncio.to_thread(self._quarantine.blocked))["blocked"]
            return {
                one["worker"]: f"{one['by']} reported a wrong object, {one['since']}"
                for one in said
            }
        except (ServiceError, LookupError, TypeError):
            return None


def describe(
    config: Config, members: Sequence[Member], jobs: Sequence[str], blocked: dict[str, str] | None
) -> Cluster:
    """The cluster, compared with the model."""
    nodes = tuple(
        Node(
            name=one.name,
            address=one.address,
            platform=one.platform,
            jobs=one.jobs,
            max_jobs=one.max_jobs,
            load=one.load,
            known=config.places.get(one.address) == one.name,
        )
        for one in sorted(members, key=lambda one: one.name)
    )
    there = {node.name for node in nodes if node.known}
    return Cluster(
        nodes=nodes,
        jobs=tuple(line[:LINE_SHOWN] for line in jobs[:JOBS_SHOWN]),
        missing=tuple(sorted(config.workers - there)),
        blocked=blocked,
    )
