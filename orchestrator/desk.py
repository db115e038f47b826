"""All that the page, the API and commands may ask of the orchestrator, and how they hear of news.

`Desk` is the one seam between what people see (orchestrator/web) and what happens
(orchestrator/tasks, orchestrator/registry).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from orchestrator.health.report import Report
from orchestrator.registry.model import Agent, Budgets, Cluster, Stranger
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


class RefusedError(Exception):
    """What was asked cannot be done; the text says why, for whoever asked."""


class UnknownError(LookupError):
    """There is no such task, plan, host or file."""


@dataclass(frozen=True)
class News:
    """Something changed: `topic` is agents, said, tasks, plans, cluster, costs, health, messages.

    `id` is the host's name, or the number of the task or plan; for messages, the task's. `said`:
    something was said in the session of a host's agent, whether it works on a task or not.
    """

    topic: str
    id: str = ""


class Desk(Protocol):
    """May raise RefusedError and UnknownError wherever something is asked for by name."""

    # agents

    def agents(self) -> tuple[Agent, ...]:
        """All agents of the fleet, in fleet.yaml's order."""

    def strangers(self) -> tuple[Stranger, ...]:
        """AgentAPIs that nobody knows."""

    async def conversation(self, host: str) -> tuple[Message, ...]:
        """What was said in the agent's session, whoever said it."""

    async def say(self, host: str, text: str, by: str, *, raw: bool = False) -> None:
        """Say something to an agent that works on no task; `raw`: press keys."""

    async def new_session(self, host: str, by: str) -> str:
        """Begin a new session; its name. Refused while a task runs there."""

    async def kill(self, hosts: Sequence[str], by: str) -> tuple[str, ...]:
        """Take the money away from these agents at once, or from all (empty): those it hit.

        Tasks that run there fail.
        """

    async def drain(self, host: str, by: str) -> None:
        """It gets no more tasks until a person begins a session there; what runs there goes on."""

    async def give_up(self, host: str, by: str) -> tuple[int, ...]:
        """Its agent does not come back: what it was told is lost, and paid no more.

        Tasks of which it knows nothing yet are queued again. The numbers of all of them.
        """

    def budgets(self) -> Budgets:
        """What was spent, and may be."""

    def cluster(self) -> Cluster:
        """The compile cluster."""

    def health(self) -> Report | None:
        """What the monitoring found last; None where there is no monitoring."""

    def unwatched(self) -> str:
        """Why nobody looks after the fleet; empty while the monitoring does, or there is none."""

    # tasks

    async def tasks(
        self, states: Sequence[State] = (), *, before: int = 0, most: int = 50, plan: int = 0
    ) -> tuple[Task, ...]:
        """Tasks, the newest first: those with a smaller number than `before`, if it is not 0."""

    async def counts(self) -> Counts:
        """How many there are."""

    async def task(self, number: int) -> Task:
        """One task."""

    async def events(self, number: int) -> tuple[Event, ...]:
        """What happened to it, the oldest first."""

    async def messages(self, number: int, attempt: int = 0) -> tuple[Message, ...]:
        """What was said in an attempt; 0: the latest."""

    async def patch(self, number: int, attempt: int = 0) -> Patch | None:
        """What it changed in its code; 0: the latest attempt that has a patch."""

    def choose(self, wish: Wish, cap: int | None = None) -> Choice:
        """Where a task with this wish would run now, and why."""

    async def keep(self, name: str, content: bytes) -> Attachment:
        """Keep a file for a task that is sent afterwards. RefusedError: too large."""

    async def send(self, draft: Draft, by: str) -> Task:
        """A new task, queued."""

    async def cancel(self, number: int, by: str) -> Task:
        """Stop it: at once where nothing was said yet, else as soon as the agent has stopped."""

    async def retry(self, number: int, by: str) -> Task:
        """Try again what failed, was cancelled or is lost."""

    async def settle(self, number: int, by: str) -> Task:
        """A person says that a lost task is done after all."""

    # plans

    async def plans(self, *, before: int = 0, most: int = 50) -> tuple[Plan, ...]:
        """Plans, the newest first."""

    async def plan(self, number: int) -> Plan:
        """One plan."""

    async def think(self, goal: str, by: str, *, at_once: bool = False) -> Plan:
        """Have a goal split into steps."""

    async def change(
        self, number: int, prompt: str, wish: Wish, after: Sequence[int], by: str
    ) -> Task:
        """Change a step (a draft task, by its number) of a plan under review."""

    async def drop(self, number: int, by: str) -> None:
        """Take a step out of a plan under review; what came after it does not wait for it."""

    async def approve(self, plan: int, by: str) -> Plan:
        """Queue all steps of a plan."""

    async def discard(self, plan: int, by: str) -> Plan:
        """Cancel all steps of a plan under review."""

    # what happened

    async def audit(self, entry: Audit) -> None:
        """Note who did what; also in the journal."""

    async def audits(self, *, before: int = 0, most: int = 100) -> tuple[Audit, ...]:
        """What people did, the newest first."""

    def news(self) -> AbstractAsyncContextManager[AsyncIterator[News]]:
        """What changes from now on. A listener that is slow gets a News with topic `all` instead
        of what it missed.
        """
