"""A big fleet for the orchestrator's service, none of it real: all that the service meets outside.

usage: python -m bench.bigfleet FOLDER PORT AGENTS TASKS
Agents that talk without end, each on a task that the service follows; a gateway that tells of money
that goes, a scheduler, hosts that say over SSH what goes on there; and the tasks of months. FOLDER
gets what the service is told of it, for PORT. Prints a line when all of it is there.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from orchestrator.tasks.model import Draft, Message, Patch, State
from orchestrator.tasks.store import Store
from tests.unit.orchestrator.simulated import SimulatedAgent, served

BEAT_S = 0.05  # between two words of an agent
WORDS = 400  # in a message; then it begins another
EVERY_S = 600.0  # a task was sent
DAYS = 14  # that the gateway tells of
RUN = "1"  # which start of its process an agent is in
BEFORE = (State.DONE, State.DONE, State.DONE, State.FAILED, State.CANCELLED, State.LOST)
SAID = "\u25cf Bash(make check)\n  \u23bf  57 passed in 1.31s\n\n" * 12
DIFFERENCE = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n" + "-old line\n+new line\n" * 60
SSH = f"""#!/bin/sh
for word; do case $word in *@*) host=${{word#*@}} ;; esac; done
echo "{{\\"session\\": \\"session-of-$host\\", \\"run\\": \\"{RUN}\\"}}"
"""


def names(agents: int) -> list[str]:
    """What the hosts are called."""
    return [f"host{number}" for number in range(agents)]


def fill(path: Path, tasks: int, agents: int) -> None:
    """Write a database as it is after months, its latest tasks on the agents."""
    store = Store(path)
    with store.whole():
        for number in range(1, tasks + 1):
            store.add(Draft(f"Tidy the house, part {number}\n\nAnd say what you did."), "alice")
            goes_on = number - tasks + agents - 1  # the number of its agent, if not negative
            if goes_on >= 0:
                _running(store, number, f"host{goes_on}")
            else:
                _ended(store, number, f"host{number % agents}", (tasks - number) * EVERY_S)
    store.close()


def _running(store: Store, number: int, host: str) -> None:
    more = {"host": host, "session": f"session-of-{host}", "run": RUN, "floor": 0}
    store.set(number, state=State.RUNNING, sent=time.time(), why="it is idle", **more)


def _ended(store: Store, number: int, host: str, ago: float) -> None:
    at = time.time() - ago
    state = BEFORE[number % len(BEFORE)]
    store.note(number, state.value, "")
    store.set(number, state=state, host=host, cost=420_000, created=at, changed=at, ended=at)
    asked, said = Message(1, "user", "Tidy the house.", at), Message(2, "agent", SAID, at)
    store.records.say(number, 1, [asked, said])
    store.records.keep_patch(number, Patch(1, "0" * 40, DIFFERENCE, 1, 1))


def describe(folder: Path, port: int, urls: Sequence[str], console: int) -> None:
    """Write what the service is told, and the program that is `ssh` for it."""
    program = folder / "ssh"
    program.write_text(SSH)
    program.chmod(0o755)
    hosts = names(len(urls))
    places = {host: {"address": host, "port": 22} for host in hosts}
    ssh = {"key": "none", "known_hosts": "none", "user": "orchestrator"}
    (folder / "agents.json").write_text(json.dumps({"ssh": ssh, "agents": places}))
    known = {
        "listen": "127.0.0.1",
        "port": port,
        "names": ["127.0.0.1"],
        "database": str(folder / "tasks.sqlite"),
        "token": str(folder / "token"),
        "socket": str(folder / "api.sock"),
        "gateway": str(folder / "gateway.sock"),
        "gateway_url": "http://127.0.0.1:9",
        "quarantine": str(folder / "quarantine.sock"),
        "reached": str(folder / "agents.json"),
        "scheduler": "127.0.0.1",
        "console": console,
        "tailscale": [],
        "claude": "claude",
        "planner": hosts[0],
        "plan_cap": 1,
        "operators": {},
        "hosts": {
            host: _host(n, url) for n, (host, url) in enumerate(zip(hosts, urls, strict=True))
        },
    }
    (folder / "orchestrator.json").write_text(json.dumps(known))


def _host(number: int, url: str) -> dict[str, object]:
    return {
        "role": "pi",
        "os": "raspios",
        "arch": "aarch64",
        "power": "always-on",
        "hardware": "Raspberry Pi 5",
        "addresses": [_address(number)],
        "agent": True,
        "enabled": True,
        "url": url,
        "root": True,
        "compilers": True,
        "worker": True,
    }


def _address(number: int) -> str:
    return f"100.64.{number // 250}.{number % 250 + 1}"


async def talk(agent: SimulatedAgent) -> None:
    """Work without end on what it was told."""
    agent.add("user", "Tidy the house.")
    agent.stand("running")
    while True:
        number = agent.add("agent", "\u25cf")
        for count in range(WORDS):
            await asyncio.sleep(BEAT_S)
            agent.grow(number, "\u25cf" + " word" * (count + 1))


def gateway(folder: Path, hosts: Sequence[str]) -> uvicorn.Server:
    """A gateway that tells of more money spent each time."""
    began = time.monotonic()
    days = [
        {
            "day": f"2026-01-{day:02}",
            "spent": 4.2,
            "hosts": [{"host": h, "spent": 0.1} for h in hosts],
        }
        for day in range(DAYS, 0, -1)
    ]

    async def budget(request: Request) -> JSONResponse:
        spent = (time.monotonic() - began) / 3600
        told = [_budget(host, spent) for host in hosts]
        fleet = {"spent": spent * len(hosts), "cap": 1000.0}
        return JSONResponse({"fleet": fleet, "hosts": told, "days": days})

    app = Starlette(routes=[Route("/budget", budget)])
    place = str(folder / "gateway.sock")
    return uvicorn.Server(uvicorn.Config(app, uds=place, log_level="critical", lifespan="off"))


def _budget(host: str, spent: float) -> dict[str, Any]:
    session = f"session-of-{host}"
    day = {"spent": spent, "cap": 15.0}
    said = {"host": host, "session": session, "spent": spent, "cap": 5.0, "day": day}
    return said | {"warn": False, "reason": ""}


async def scheduler(hosts: Sequence[str]) -> int:
    """A scheduler whose cluster is busy with other things each time; its console's port."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"200 Use 'help' for help and 'quit' to quit.\n")
        while line := await reader.readline():
            if line.strip() == b"quit":
                break
            writer.write(
                "".join(f"{one}\n" for one in [*_said(line.strip(), hosts), "200 done"]).encode()
            )
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


def _said(line: bytes, hosts: Sequence[str]) -> list[str]:
    if line != b"listcs":
        return []
    return [
        f" {host} ({_address(number)}:10245) [aarch64] speed=100.00"
        f" jobs={random.randrange(5)}/4 load={random.randrange(1000)}"  # noqa: S311 - no secret
        for number, host in enumerate(hosts)
    ]


async def main(folder: Path, port: int, agents: int, tasks: int) -> None:
    """Be all of it until the end."""
    there = [SimulatedAgent() for _ in range(agents)]
    fill(folder / "tasks.sqlite", tasks, agents)
    async with served(*there):
        console = await scheduler(names(agents))
        describe(folder, port, [agent.url for agent in there], console)
        paying = asyncio.create_task(gateway(folder, names(agents)).serve())
        talking = [asyncio.create_task(talk(agent)) for agent in there]
        print("ready", flush=True)
        await asyncio.gather(paying, *talking)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
