"""Knock on ports, or listen on them, from inside one host's network: started with `ip netns exec`.

Reads one JSON object from standard input: {"knock": [[address, port], …]} prints which of them
opened; {"listen": [port, …]} listens on each that is free, says so, and stays until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from contextlib import suppress

TIMEOUT_S = 4.0  # a refusal comes at once; this is for what is dropped
AT_ONCE = 200


async def knock(address: str, port: int, turn: asyncio.Semaphore) -> bool:
    """Whether a TCP connection is taken."""
    async with turn:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), TIMEOUT_S)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True


async def knock_all(places: list[tuple[str, int]]) -> list[bool]:
    """One answer a place."""
    turn = asyncio.Semaphore(AT_ONCE)
    return await asyncio.gather(*(knock(address, port, turn) for address, port in places))


def listen(ports: list[int]) -> list[socket.socket]:
    """A socket for IPv4 and one for IPv6 on every port that nobody has."""
    sockets = []
    for port in ports:
        for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104
            one = socket.socket(family, socket.SOCK_STREAM)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            with suppress(OSError):
                one.bind((anywhere, port))
                one.listen(256)
                sockets.append(one)
    return sockets


def main() -> None:
    """Do what standard input says."""
    asked = json.loads(sys.stdin.readline())
    if "listen" in asked:
        kept = listen(asked["listen"])
        print(json.dumps([one.getsockname()[1] for one in kept]), flush=True)
        sys.stdin.read()
    else:
        print(json.dumps(asyncio.run(knock_all(asked["knock"]))))


if __name__ == "__main__":
    main()
