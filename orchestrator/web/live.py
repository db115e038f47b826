"""Keeps open pages up to date: one stream each, which sends the parts that changed.

What many pages show is rendered once, however many listen, and at most four times a second.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from markupsafe import Markup

from orchestrator.desk import Desk, News, RefusedError, UnknownError
from orchestrator.web.parts import Part, Shown, element, identity

GATHER_S = 0.25  # news of this time are one update
HEARTBEAT_S = 15.0
LONGEST_S = 1800.0  # of a stream: then the browser comes again, and is asked again who it is
MOST_PARTS = 300  # that one page may ask for
HELLO = b"retry: 1000\n\n"  # milliseconds until a browser that lost the stream comes again
UPDATED = "1"  # what a browser that comes again says had been sent, if anything had been
_KEPT = 2_000  # parts as they were shown last
_EVERYBODY = ("all", "")
_LINE = re.compile("\r\n|\r|\n")  # what ends a line of an event stream
Version = tuple[int, ...]


class Live:
    """The parts of all pages. While nobody listens, nothing is kept."""

    def __init__(self, desk: Desk, kinds: Mapping[str, Part]) -> None:
        self._desk, self._kinds = desk, kinds
        self._news = _Ticker(desk)
        self._kept: dict[str, tuple[Version, Shown]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def show(self, name: str) -> Shown:
        """A part as it is at this moment. Raises UnknownError."""
        part, which = self._part(name)
        return await part.show(self._desk, which)

    def require(self, name: str) -> None:
        """Raises UnknownError when there is no such kind of part."""
        self._part(name)

    async def stream(self, digests: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Events with what differs from the parts that a page has: name → digest, "" for none."""
        pages = {name: _Held(*self._part(name), digest) for name, digest in digests.items()}
        began = last = time.monotonic()
        yield HELLO
        async with self._news.heard():
            while time.monotonic() - began < LONGEST_S:
                change = self._news.next_change()
                if update := await self._update(pages):
                    yield _event(update)
                    last = time.monotonic()
                elif time.monotonic() - last >= HEARTBEAT_S:
                    yield b": still here\n\n"
                    last = time.monotonic()
                try:
                    await asyncio.wait_for(change.wait(), HEARTBEAT_S)
                    await asyncio.sleep(GATHER_S)
                except TimeoutError:
                    continue

    async def _update(self, held: Mapping[str, _Held]) -> str:
        """The differences, as elements that say where they belong."""
        found = list[str]()
        for name, one in held.items():
            version = self._news.version(one.concerns)
            if version == one.version:
                continue
            one.version = version
            try:
                now = await self._once(name, one, version)
            except (UnknownError, RefusedError):
                continue  # it is gone; the page stays as it was
            found += one.differences(name, now)
        return "\n".join(found)

    async def _once(self, name: str, held: _Held, version: Version) -> Shown:
        """The part of this version, rendered by whoever comes first."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            kept = self._kept.get(name)
            if kept is not None and kept[0] == version:
                return kept[1]
            shown = await held.part.show(self._desk, held.which)
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            if len(self._locks) >= 2 * _KEPT:
                self._locks.clear()
            self._kept[name] = (version, shown)
            return shown

    def _part(self, name: str) -> tuple[Part, str]:
        kind, _, which = name.partition(":")
        if kind not in self._kinds:
            raise UnknownError(f"no page has a part {name!r}")
        return self._kinds[kind], which


@dataclass
class _Held:
    """A part that an open page has: what it looks like there."""

    part: Part
    which: str
    digest: str
    version: Version | None = None
    pieces: dict[str, Markup] | None = None  # None: it may be anything
    concerns: tuple[News, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.concerns = self.part.concerns(self.which)

    def differences(self, name: str, now: Shown) -> list[str]:
        """What the page has to replace or append; it has it from then on."""
        before, digest = self.pieces, now.digest
        same, self.digest = digest == self.digest, digest
        self.pieces = {piece.id: piece.html for piece in now.pieces}
        if same:
            return []
        if not before or list(self.pieces)[: len(before)] != list(before):
            return [_swap("innerHTML", identity(name), now.html)]
        changed = [
            _swap("innerHTML", piece.id, piece.html)
            for piece in now.pieces
            if piece.id in before and before[piece.id] != piece.html
        ]
        if added := [piece for piece in now.pieces if piece.id not in before]:
            html = Markup("").join(map(element, added))
            changed.append(_swap("beforeend", identity(name), html))
        return changed


def _swap(how: str, where: str, html: Markup) -> str:
    """An element out of band, as htmx takes it. Its own tag does not matter."""
    return Markup('<div id="{}" hx-swap-oob="{}">{}</div>').format(where, how, html)


def _event(html: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in _LINE.split(html))
    return f"id: {UPDATED}\nevent: parts\n{lines}\n".encode()


class _Ticker:
    """Counts news by what they are about. Hears only while somebody hears it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._count: Counter[tuple[str, str]] = Counter()
        self._change = asyncio.Event()
        self._listeners = 0
        self._task: asyncio.Task[None] | None = None

    def next_change(self) -> asyncio.Event:
        """Is set with the next news. To be taken before one looks, so that none is missed."""
        return self._change

    def version(self, concerns: tuple[News, ...]) -> Version:
        """Differs when there was news of this, and with every minute: moments are told in words."""
        counts = (self._count[one.topic, one.id] for one in concerns)
        return (self._count[_EVERYBODY], int(time.time() // 60), *counts)

    @asynccontextmanager
    async def heard(self) -> AsyncIterator[None]:
        """While somebody needs to know."""
        self._listeners += 1
        try:
            if self._task is None:
                began = asyncio.Event()
                self._task = asyncio.create_task(self._hear(began))
                await began.wait()
                self._tick(*_EVERYBODY)  # whatever happened before
            yield
        finally:
            self._listeners -= 1
            if not self._listeners and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _hear(self, began: asyncio.Event) -> None:
        async with self._desk.news() as news:
            began.set()
            async for one in news:
                self._tick(one.topic, one.id)

    def _tick(self, topic: str, about: str) -> None:
        if len(self._count) > _KEPT:  # of tasks that are long done; nobody may think it is the same
            everybody = self._count[_EVERYBODY] + 1
            self._count = Counter({_EVERYBODY: everybody})
        self._count[topic, about] += 1
        if about:
            self._count[topic, ""] += 1
        now, self._change = self._change, asyncio.Event()
        now.set()
