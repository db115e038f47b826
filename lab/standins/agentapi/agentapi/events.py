"""Server-sent events: everything so far, then what comes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .conversation import Conversation


class Feed:
    """What one listener has been told, and what is new to it."""

    def __init__(self, talk: Conversation, kind: str) -> None:
        self._talk, self._kind = talk, kind
        self._told: dict[int, str] = {}
        self._status = ""
        self._faults = 0

    def news(self) -> Iterator[bytes]:
        """The events since the last call."""
        for one in self._talk.messages():
            if self._told.get(one["id"]) != one["content"]:
                self._told[one["id"]] = one["content"]
                data = {"id": one["id"], "role": one["role"], "message": one["content"]}
                yield _event("message_update", {**data, "time": one["time"]})
        if (status := self._talk.status()) != self._status:
            self._status = status
            yield _event("status_change", {"status": status, "agent_type": self._kind})
        for fault in self._talk.faults[self._faults :]:
            self._faults += 1
            yield _event("agent_error", fault)


class Screens:
    """The same for the screen as a whole."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk
        self._told: str | None = None

    def news(self) -> Iterator[bytes]:
        """The screen, if it is another one."""
        if (shown := "\n".join(self._talk.terminal.lines())) != self._told:
            self._told = shown
            yield _event("screen", {"screen": shown})


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
