"""The messages of a conversation, and the file that keeps them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

VERSION = 1


class StateError(Exception):
    """The file is there and says nothing that can be used."""


def now() -> str:
    """The time, as the API says it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


@dataclass
class Message:
    """One message; ids count from 0."""

    id: int
    role: str  # "agent" or "user"
    content: str
    time: str


@dataclass
class State:
    """What outlives the server."""

    messages: list[Message] = field(default_factory=list)
    initial_prompt: str = ""
    initial_prompt_sent: bool = False

    def add(self, role: str, content: str = "") -> Message:
        """Add a message at the end."""
        self.messages.append(Message(len(self.messages), role, content, now()))
        return self.messages[-1]


def load(path: Path) -> State:
    """Read a state; an empty one if there is no file. Raises StateError."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return State()
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"failed to read state file {path}: {error}") from error
    if not text:
        return State()
    try:
        known = json.loads(text)
        messages = [Message(**one) for one in known["messages"]]
        return State(messages, known["initial_prompt"], known["initial_prompt_sent"])
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"failed to unmarshal state file {path}: {error}") from error


def save(path: Path, state: State) -> None:
    """Write a state, whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.tmp")
    part.write_text(json.dumps({"version": VERSION, **asdict(state)}, indent=1))
    part.replace(path)
