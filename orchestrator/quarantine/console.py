"""The scheduler's text console: who is in the cluster, who is blocked there, and who shall be.

As its source (scheduler/scheduler.cpp of icecream 1.4) has it: `blockcs` adds its words to a list
each time anew, and removes the first daemon that has one for its name or its address; whoever logs
in afterwards under such a name or address is turned away. `unblockcs` takes one entry off the list.
Daemons choose their names themselves, so what it lists may say anything: nothing of that goes back.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

TIMEOUT_S = 5.0
LIMIT = 1 << 20  # bytes of one answer
_END = "200 done"
_GREETING = "200 Use "
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
# ` NODE (IP:PORT) [PLATFORM] speed=0.00 jobs=0/8 load=0`
_ROW = re.compile(
    r"^ (\S+) \(([^:)]+):(\d{1,5})\) \[([^\]]*)\]"
    r"(?: speed=[\d.]+ jobs=(\d{1,9})/(\d{1,9}) load=(\d{1,9}))?"
)


class ConsoleError(Exception):
    """The scheduler does not answer as it should; the text says how."""


@dataclass(frozen=True)
class Member:
    """One daemon as it calls itself. `port` is 0 where it takes no jobs; `load` is per mille."""

    name: str
    address: str
    port: int
    platform: str
    jobs: int
    max_jobs: int
    load: int


class Console:
    """One conversation. Its methods raise ConsoleError, OSError and TimeoutError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def blocks(self) -> list[str]:
        """The list of blocks, with what is on it several times."""
        return [line.strip() for line in await self._ask("listblocks")]

    async def members(self) -> list[tuple[str, str]]:
        """Name and address of every daemon. The last question: an answer may be forged."""
        return [(member.name, member.address) for member in await self.daemons()]

    async def daemons(self) -> list[Member]:
        """Every daemon, in the order of the list. The last question, see `members`."""
        rows = (_ROW.match(line) for line in await self._ask("listcs"))
        return [
            Member(row[1], row[2], int(row[3]), row[4], *(int(row[n] or 0) for n in (5, 6, 7)))
            for row in rows
            if row
        ]

    async def jobs(self) -> list[str]:
        """What is compiled or waits for it, a line each in the scheduler's words."""
        return [line.strip() for line in await self._ask("listjobs")]

    async def block(self, word: str) -> None:
        """Turn away who has that name or address, and remove one that is in."""
        await self._ask("blockcs", word)

    async def unblock(self, word: str) -> None:
        """Take one entry off the list."""
        await self._ask("unblockcs", word)

    async def remove(self, word: str) -> None:
        """Remove one daemon of that name or address."""
        await self._ask("removecs", word)

    async def greeted(self) -> None:
        """Wait until it has introduced itself."""
        await self._until(_GREETING)

    async def _ask(self, *words: str) -> list[str]:
        if not all(_WORD.fullmatch(word) for word in words):
            raise ConsoleError(f"{words[1:]} is nothing to say to a scheduler")
        self._writer.write(f"{' '.join(words)}\n".encode())
        await self._writer.drain()
        return await self._until(_END)

    async def _until(self, last: str) -> list[str]:
        found: list[str] = []
        size = 0
        while True:
            try:
                raw = await self._reader.readline()
            except ValueError:
                raise ConsoleError("a line of its console has no end") from None
            size += len(raw)
            if not raw.endswith(b"\n") or size > LIMIT:
                raise ConsoleError("its console breaks off or talks on and on")
            line = raw.decode("utf-8", "replace").rstrip("\n")
            if line.startswith(last):
                return found
            found.append(line)


@asynccontextmanager
async def conversation(host: str, port: int) -> AsyncIterator[Console]:
    """A conversation with the console, all of which takes no longer than TIMEOUT_S."""
    async with asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            console = Console(reader, writer)
            await console.greeted()
            yield console
            writer.write(b"quit\n")
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
