"""What is worth telling: changes that have lasted for two rounds, each of them once. Pure.

An item that cannot be judged (pending, unknown, not there) says nothing: it neither breaks nor
recovers, and whatever it does afterwards has to last for two rounds anew. So a laptop that falls
asleep, or is only just waking up, alerts nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.health.inside import plain
from orchestrator.health.model import Item, Verdict

LEVELS = {Verdict.OK: 0, Verdict.WARNING: 1, Verdict.FAILED: 2}  # of what can be judged
NAMES = {level: verdict.value for verdict, level in LEVELS.items()}
FORGET_S = 7 * 86400.0  # after which an item that nobody judges any more is none
MOST_LINES = 30  # of items in one message
MOST_WAITING = 20  # messages; the oldest is lost first
MOST_TRIES = 288  # of one message, a round each: a day


@dataclass(frozen=True)
class Track:
    """What is remembered of one item: the level that people know of, and the last round's.

    `last` is None when that round could not judge it; `since` is when `told` began to hold, `seen`
    when the item was judged last.
    """

    told: int = 0
    last: int | None = None
    since: float = 0
    seen: float = 0


@dataclass(frozen=True)
class Change:
    """An item that has been at another level for two rounds: both levels, and what it says now."""

    item: Item
    before: int
    now: int

    @property
    def is_worse(self) -> bool:
        """Whether it broke; else it recovered."""
        return self.now > self.before

    @property
    def line(self) -> str:
        """What people read of it."""
        how = NAMES[self.now].upper() if self.is_worse else f"{NAMES[self.now]} again"
        advice = f" -> {self.item.advice}" if self.item.advice and self.now else ""
        return plain(f"{how}: {self.item.name}: {self.item.evidence}{advice}")


@dataclass(frozen=True)
class Message:
    """What is sent once, to each of the channels that are `left`. `level` is the worst in it."""

    id: str
    at: float
    title: str
    lines: tuple[str, ...]
    level: int
    left: tuple[str, ...]
    tries: int = 0


def compare(
    tracks: Mapping[str, Track], items: Sequence[Item], hosts: Collection[str], now: float
) -> tuple[dict[str, Track], tuple[Change, ...]]:
    """What is remembered after this round, and what has changed for good.

    `hosts` are those of the fleet: what is remembered of others is forgotten.
    """
    worst = {one.name: one for one in sorted(items, key=_level)}
    kept: dict[str, Track] = {}
    changes: list[Change] = []
    for name, item in worst.items():
        before = tracks.get(name, Track(since=now))
        kept[name], change = _next(before, item, now)
        changes += [change] if change else []
    for name, track in tracks.items():
        if name not in worst and _may_come_back(name, track, hosts, now):
            kept[name] = replace(track, last=None)
    return kept, tuple(sorted(changes, key=lambda one: (-one.now, one.item.name)))


def _level(item: Item) -> int:
    return LEVELS.get(item.verdict, -1)


def _next(track: Track, item: Item, now: float) -> tuple[Track, Change | None]:
    level = LEVELS.get(item.verdict)
    if level is None:
        return replace(track, last=None), None
    seen = replace(track, last=level, seen=now)
    if track.last is None or not _is_another(track.told, track.last, level):
        return seen, None
    return replace(seen, told=level, since=now), Change(item, track.told, level)


def _is_another(told: int, last: int, level: int) -> bool:
    """Whether both rounds were worse than what people know, or both better."""
    return min(last, level) > told or max(last, level) < told


def _may_come_back(name: str, track: Track, hosts: Collection[str], now: float) -> bool:
    host = name.partition("@")[2]
    return now - track.seen < FORGET_S and (not host or host in hosts)


def compose(
    fleet: str, changes: Sequence[Change], channels: Sequence[str], now: float
) -> Message | None:
    """The one message of a round; None when there is nothing to tell, or nobody to be told."""
    if not changes or not channels:
        return None
    worse = [one for one in changes if one.is_worse]
    level = max((one.now for one in worse), default=0)
    lines = tuple(one.line for one in changes[:MOST_LINES])
    if (more := len(changes) - MOST_LINES) > 0:
        lines += (f"and {more} more",)
    counts = (("worse", len(worse)), ("better", len(changes) - len(worse)))
    title = f"{fleet}: {', '.join(f'{n} {how}' for how, n in counts if n)}"
    return note(title, lines, level, channels, now)


def note(
    title: str, lines: Sequence[str], level: int, channels: Sequence[str], now: float
) -> Message:
    """A message. Its id follows from what it says, and when."""
    title, lines = plain(title), tuple(map(plain, lines))
    digest = hashlib.sha256("\n".join((f"{now:.3f}", title, *lines)).encode()).hexdigest()
    return Message(digest[:16], now, title, lines, level, tuple(channels))


def post(outbox: Sequence[Message], message: Message | None) -> tuple[Message, ...]:
    """The messages that wait, with this one."""
    return (*outbox, *((message,) if message else ()))[-MOST_WAITING:]


def tried(outbox: Sequence[Message], id_: str, arrived: Collection[str]) -> tuple[Message, ...]:
    """The messages that wait, after one was sent to its channels and `arrived` at some of them."""
    return tuple(_settled(outbox, id_, arrived))


def _settled(outbox: Sequence[Message], id_: str, arrived: Collection[str]) -> Iterator[Message]:
    for one in outbox:
        if one.id != id_:
            yield one
            continue
        left = tuple(channel for channel in one.left if channel not in arrived)
        if left and one.tries + 1 < MOST_TRIES:
            yield replace(one, left=left, tries=one.tries + 1)
