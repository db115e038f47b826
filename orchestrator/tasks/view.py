"""What was said in an attempt, as far as it is known, and what of it is not written yet."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.registry.agentapi import MessageUpdate, StatusChange, Update
from orchestrator.tasks.model import Message
from orchestrator.tasks.outcome import since


class View:
    """Hears what an agent says while it says it, and is put right when the agent is asked."""

    def __init__(self, floor: int, known: Iterable[Message], now: float) -> None:
        self.floor, self.status, self.changed = floor, "", now
        self.before = ""  # what the agent had said last when it was told
        self._said = {one.number: one for one in known}
        self._new = set[int]()

    @property
    def messages(self) -> tuple[Message, ...]:
        """All since the agent was told."""
        return since([self._said[number] for number in sorted(self._said)], self.floor)

    def hear(self, update: Update, now: float) -> None:
        """Something was said, or the agent stopped or began."""
        if isinstance(update, MessageUpdate):
            self._put(update.message, now)
        elif isinstance(update, StatusChange):
            self._stand(update.status, now)

    def correct(self, status: str, messages: Iterable[Message], now: float) -> bool:
        """This is the truth; False when what was there before is there no more."""
        said = tuple(messages)
        self.before = next((one.content for one in reversed(said) if self._is_before(one)), "")
        there = {one.number: one for one in said if one.number > self.floor}
        before = self._said
        self._said = {number: one for number, one in before.items() if number in there}
        for one in there.values():
            self._put(one, now)
        self._stand(status, now)
        return there.keys() >= before.keys()

    def unwritten(self) -> tuple[Message, ...]:
        """What is to be written; after that it is taken for written."""
        found = tuple(one for one in self.messages if one.number in self._new)
        self._new.clear()
        return found

    def still_for(self, now: float) -> float:
        """How long nothing has changed; 0 while the agent works."""
        return now - self.changed if self.status == "stable" else 0.0

    def _is_before(self, message: Message) -> bool:
        return message.role == "agent" and message.number <= self.floor

    def _put(self, message: Message, now: float) -> None:
        before = self._said.get(message.number)
        if message.number <= self.floor or before == message:
            return
        if before is None or (before.role, before.content) != (message.role, message.content):
            self._said[message.number] = message
            self._new.add(message.number)
            self.changed = now

    def _stand(self, status: str, now: float) -> None:
        if status != self.status:
            self.status, self.changed = status, now
