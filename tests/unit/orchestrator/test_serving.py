"""How the orchestrator's services listen."""

from __future__ import annotations

import asyncio
import socket

import pytest

from orchestrator.serving import tcp_door


@pytest.mark.parametrize("place", ["127.0.0.1", "::1"])
def test_small_answers_are_sent_at_once(place: str) -> None:
    """Else each one but the first over a connection comes 40 ms late."""
    found: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        found.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async def run() -> None:
        with tcp_door(place, 0) as door:
            async with await asyncio.start_server(answer, sock=door) as server:
                port = server.sockets[0].getsockname()[1]
                reader, writer = await asyncio.open_connection(place, port)
                await reader.read()
                writer.close()

    asyncio.run(run())
    assert found == [1]
