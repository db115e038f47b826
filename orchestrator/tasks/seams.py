"""What tasks need of the rest: agents, how they are told to begin anew, and money."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from orchestrator.health.report import Report
from orchestrator.registry.agentapi import Update
from orchestrator.registry.model import Agent, Budgets, Cluster, Stranger
from orchestrator.tasks.model import Message


class Api(Protocol):
    """One agent's AgentAPI. All raise AgentApiError: see orchestrator/registry/agentapi.py."""

    async def status(self) -> str:
        """`stable`, or `running`."""

    async def messages(self) -> tuple[Message, ...]:
        """What was said in its session."""

    async def say(self, text: str) -> None:
        """Tell it something."""

    async def press(self, keys: str) -> None:
        """Press keys."""

    async def upload(self, name: str, content: bytes) -> str:
        """Bring a file there: its path."""


class Fleet(Protocol):
    """The agents, as they are known."""

    def agents(self) -> tuple[Agent, ...]:
        """All, in fleet.yaml's order."""

    def api(self, name: str) -> Api:
        """One's AgentAPI."""

    def subscribe(self, name: str) -> AbstractAsyncContextManager[AsyncIterator[Update]]:
        """What one says from now on, while it says it. What is missed is found by asking."""

    def assign(self, name: str, task: int) -> None:
        """It works on a task."""

    def release(self, name: str) -> None:
        """It works on none."""


class Beginning(Protocol):
    """Which session of an agent goes on, and which start of its process that is."""

    @property
    def session(self) -> str:
        """As the gateway calls it; empty: none."""

    @property
    def run(self) -> str:
        """Another one than before: its process was started anew."""


class Control(Protocol):
    """Agents' hosts. All raise sessions.AgentError, or client.ServiceError for the gateway's."""

    async def status(self, host: str) -> Beginning:
        """What goes on there."""

    async def new_session(self, host: str, cap: int | None) -> str:
        """End what goes on there and begin anew; the session's name."""

    async def bring_code(self, host: str, name: str, commit: str, bundle: bytes) -> str:
        """Check a bundle's commit out there: the path."""

    async def patch(self, host: str, name: str, commit: str) -> bytes:
        """What was changed there since the commit."""


class Money(Protocol):
    """What the gateway tells, and the sessions that it pays for."""

    def budgets(self) -> Budgets:
        """The last that it told."""

    async def end(self, session: str) -> None:
        """Pay for a session no more. Raises client.ServiceError."""


class Rest(Fleet, Control, Money, Protocol):
    """All that the desk needs besides tasks; open while the desk is."""

    def strangers(self) -> tuple[Stranger, ...]:
        """See Desk.strangers."""

    def cluster(self) -> Cluster:
        """See Desk.cluster."""

    def health(self) -> Report | None:
        """See Desk.health."""

    def unwatched(self) -> str:
        """See Desk.unwatched."""

    async def conversation(self, host: str) -> tuple[Message, ...]:
        """See Desk.conversation. Raises AgentApiError."""

    async def issue(self, host: str, cap: int, purpose: str) -> tuple[str, str]:
        """A session of the gateway's and its token. Raises client.ServiceError."""

    async def kill(self, hosts: Sequence[str]) -> None:
        """The gateway pays for nothing there any more. Raises client.ServiceError."""


@dataclass(frozen=True)
class Times:
    """How long what is waited for, in seconds."""

    round: float = 5.0  # between looks at all tasks, where nobody tells of anything
    breath: float = 0.5  # and at least, whoever tells
    beat: float = 0.5  # between writes of what an agent says
    gather: float = 0.1  # of which all writes are one, where many agents speak
    look: float = 5.0  # between questions to an agent that says nothing
    settle: float = 3.0  # an agent that has stood still for so long has answered
    mute: float = 600.0  # and one that stands still without a word never will
    again: float = 2.0  # between tries
    start: float = 180.0  # until a new session listens
    ready: float = 120.0  # until it takes a prompt
    known: float = 45.0  # until a prompt shows whose fate is uncertain
    silent: float = 120.0  # without an answer it is lost
    asleep: float = 1_800.0  # and where its host may sleep
    escape: float = 3.0  # between presses of Escape
    stop: float = 30.0  # until an agent that shall stop is ended
    refused: float = 60.0  # that it tries on without money and without a word
    shun: float = 60.0  # that a host is not asked again for a task that failed to begin there
    tidy: float = 3_600.0  # between looks for files that nobody needs
