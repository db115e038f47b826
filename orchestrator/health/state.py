"""What the monitoring remembers from one round to the next: a file, replaced as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.health.alerts import LEVELS, Message, Track
from orchestrator.health.model import Item, Verdict

VERSION = 1
MOST_BYTES = 16 << 20
READABLE = 0o644  # its directory is closed to all but the monitoring and the page


class StateError(Exception):
    """There is a file, and it is none of ours; the text says why."""


@dataclass(frozen=True)
class State:
    """After a round: when it was, what it found, what people were told, and what is still to be.

    `faults` maps each channel to what went wrong there last. `crashed` is when people were told
    that a round had come to no end; 0: since then one has.
    """

    began: float = 0
    ended: float = 0
    items: tuple[Item, ...] = ()
    tracks: Mapping[str, Track] = field(default_factory=dict)
    outbox: tuple[Message, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)
    crashed: float = 0


def load(path: Path) -> State:
    """The state; a new one where there is none. Raises StateError."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return State()
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise StateError(f"{path} is larger than {MOST_BYTES} bytes")
    try:
        return _state(json.loads(content))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise StateError(f"{path}: {type(error).__name__}: {error}") from None


def save(path: Path, state: State) -> None:
    """Replace it: whoever reads it finds the old one or this one, whole."""
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8") as stream:
        json.dump({"version": VERSION, **asdict(state)}, stream)
        stream.flush()
        os.fchmod(stream.fileno(), READABLE)
        os.fsync(stream.fileno())
    new.replace(path)


def _state(said: Mapping[str, Any]) -> State:
    if said["version"] != VERSION:
        raise ValueError(f"this is of version {said['version']}, not {VERSION}")
    return State(
        began=float(said["began"]),
        ended=float(said["ended"]),
        items=tuple(_item(one) for one in said["items"]),
        tracks={str(name): _track(one) for name, one in said["tracks"].items()},
        outbox=tuple(_message(one) for one in said["outbox"]),
        faults={str(name): str(fault) for name, fault in said["faults"].items()},
        crashed=float(said["crashed"]),
    )


def _item(one: Mapping[str, Any]) -> Item:
    words = (str(one[name]) for name in ("evidence", "advice"))
    return Item(str(one["kind"]), str(one["host"]), Verdict(one["verdict"]), *words)


def _track(one: Mapping[str, Any]) -> Track:
    last = one["last"]
    return Track(
        told=_level(one["told"]),
        last=None if last is None else _level(last),
        since=float(one["since"]),
        seen=float(one["seen"]),
    )


def _level(said: object) -> int:
    if isinstance(said, bool) or said not in LEVELS.values():
        raise ValueError(f"{said!r} is no level")
    return int(str(said))


def _message(one: Mapping[str, Any]) -> Message:
    return Message(
        id=str(one["id"]),
        at=float(one["at"]),
        title=str(one["title"]),
        lines=tuple(str(line) for line in one["lines"]),
        level=_level(one["level"]),
        left=tuple(str(channel) for channel in one["left"]),
        tries=int(one["tries"]),
    )
