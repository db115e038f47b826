"""How quickly the orchestrator's pages come while a big fleet talks, and whether its memory grows.

usage: python -m bench.orchestrator [--agents N] [--tasks N] [--seconds S] [--pages N] [--json]
The service itself, in a process of its own: it follows simulated agents that stream all the time,
has tasks with conversations and patches in its database, and keeps open pages up to date. No task
is given to an agent meanwhile, which takes hosts. Each page is compared with a constant of the same
size from a bare Starlette behind the same server, asked in turns in the same run.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import click
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.gateway import MAIN, process
from orchestrator.tasks.model import Draft, Message, Patch, State
from orchestrator.tasks.store import Store
from tests.unit.orchestrator.simulated import SimulatedAgent, served

LIMIT_MS = 200.0  # for the median of every page
GROWTH = 1.10  # of the memory, from the first third of the time to the last
START_S = 30.0
BEAT_S = 0.05  # between two words of an agent
WORDS = 400  # before an agent begins anew, as a session does
STATES = (State.DONE, State.DONE, State.DONE, State.FAILED, State.CANCELLED, State.LOST)
SAID = "\u25cf Bash(make check)\n  \u23bf  57 passed in 1.31s\n\n" * 12
PATCH = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n" + "-old line\n+new line\n" * 60


def fill(path: Path, tasks: int) -> None:
    """A database as it is after months."""
    store = Store(path)
    with store.whole():
        for number in range(1, tasks + 1):
            store.add(Draft(f"Tidy the house, part {number}\n\nAnd say what you did."), "alice")
            state, now = STATES[number % len(STATES)], time.time() - (tasks - number) * 600
            more = {"state": state, "host": f"host{number % 50}", "reason": "", "cost": 420_000}
            store.set(number, **more, created=now, changed=now, ended=now + 300)
            asked, said = Message(1, "user", "Tidy the house.", now), Message(2, "agent", SAID, now)
            store.records.say(number, 1, [asked, said])
            if number % 4 == 0:
                store.records.keep_patch(number, Patch(1, "0" * 40, PATCH, 1, 1))
    store.close()


def configuration(folder: Path, port: int, agents: Sequence[str]) -> Path:
    """What the service is told of a fleet of these agents, of which it knows the addresses."""
    host = {
        **{"role": "pi", "os": "raspios", "arch": "aarch64", "power": "always-on", "hardware": ""},
        **{"addresses": [], "agent": True, "enabled": True, "root": True, "compilers": True},
        **{"worker": False},
    }
    (folder / "agents.json").write_text(
        json.dumps({"ssh": {"key": "none", "known_hosts": "none", "user": "nobody"}, "agents": {}})
    )
    known = {
        **{"listen": "127.0.0.1", "port": port, "names": ["127.0.0.1"], "tailscale": []},
        **{"gateway_url": "http://127.0.0.1:9", "scheduler": "", "console": 9, "claude": "claude"},
        **{"planner": "host0", "plan_cap": 1, "operators": {}},
        "database": str(folder / "tasks.sqlite"),
        "token": str(folder / "token"),
        "socket": str(folder / "api.sock"),
        "gateway": str(folder / "gateway.sock"),
        "quarantine": str(folder / "quarantine.sock"),
        "reached": str(folder / "agents.json"),
        "hosts": {f"host{n}": {**host, "url": url} for n, url in enumerate(agents)},
    }
    file = folder / "orchestrator.json"
    file.write_text(json.dumps(known))
    return file


async def simulate(number: int) -> None:
    """Be so many agents, which talk without end: say their addresses, and serve."""
    agents = [SimulatedAgent(BEAT_S) for _ in range(number)]

    async def talk(agent: SimulatedAgent) -> None:
        while True:
            agent.restart()
            agent.prompts.clear()
            agent._take(f"slow {WORDS}")
            await asyncio.sleep(BEAT_S * WORDS * 1.1)

    async with served(*agents):
        print(json.dumps([agent.url for agent in agents]), flush=True)
        await asyncio.gather(*map(talk, agents))


async def constant(port: int) -> None:
    """Be the peer: as many bytes as are asked for, and nothing to find out before."""

    async def answer(request: Request) -> Response:
        return Response(b"x" * request.path_params["size"], media_type="text/html")

    app = Starlette(routes=[Route("/{size:int}", answer)])
    await uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical")).serve()


@dataclass
class Page:
    """What was seen of a page: seconds for each time that it was asked for, and for the peer's."""

    size: int = 0
    took: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)

    def report(self) -> dict[str, float]:
        """The figures, times in milliseconds."""
        median, peer = statistics.median(self.took), statistics.median(self.peer)
        return {
            "bytes": self.size,
            "median_ms": 1000 * median,
            "p95_ms": 1000 * statistics.quantiles(self.took, n=20)[18],
            "peer_ms": 1000 * peer,
            "ratio": median / peer,
        }


@dataclass
class Listeners:
    """Pages that are open, and the bytes that kept them up to date."""

    got: int = 0
    updates: int = 0

    async def open(self, client: httpx.AsyncClient, path: str) -> None:
        """Open a page as a browser does, and read its stream until cancelled."""
        page = (await client.get(path)).text
        found = re.search('sse-connect="([^"]+)"', page)
        if found is None:
            raise click.ClickException(f"{path} is not kept up to date")
        async with client.stream("GET", unescape(found[1]), timeout=None) as stream:
            async for piece in stream.aiter_bytes():
                self.got += len(piece)
                self.updates += piece.count(b"event: parts")


def rss_kb(pid: int) -> int:
    """The memory of a process that is in RAM."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    return int(found[1]) if found else 0


def cpu_s(pid: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def visitor(url: str, token: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service, or of its peer."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=30, limits=limits, trust_env=False
    ) as it:
        yield it


async def answers(client: httpx.AsyncClient, path: str) -> None:
    """Wait until it does."""
    end = time.monotonic() + START_S
    while True:
        try:
            if (await client.get(path)).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > end:
            raise click.ClickException(f"{client.base_url} does not answer")
        await asyncio.sleep(0.1)


async def watch(
    service: httpx.AsyncClient,
    peer: httpx.AsyncClient,
    pid: int,
    tasks: int,
    open_pages: int,
    s: float,
) -> dict[str, Any]:
    """Ask for pages in turns for so long; what was seen."""
    paths = (
        "/",
        "/tasks",
        f"/tasks/{tasks}",
        "/agents/host3",
        "/costs",
        "/cluster",
        "/api/v1/tasks",
    )
    pages = {path: Page() for path in paths}
    listeners = Listeners()
    kept = ("/", "/agents/host1", "/tasks")
    readers = [
        asyncio.create_task(listeners.open(service, kept[n % len(kept)])) for n in range(open_pages)
    ]
    memory = list[int]()
    began, cpu = time.monotonic(), cpu_s(pid)
    try:
        while time.monotonic() - began < s:
            for path, page in pages.items():
                page.size = await timed(service, path, page.took)
                await timed(peer, f"/{page.size}", page.peer)
            memory.append(rss_kb(pid))
            await asyncio.sleep(0.2)
            for reader in readers:
                if reader.done():
                    reader.result()
    finally:
        for reader in readers:
            reader.cancel()
    lasted = time.monotonic() - began
    third = max(1, len(memory) // 3)
    return {
        "pages": {path: page.report() for path, page in pages.items()},
        "cpu_share": (cpu_s(pid) - cpu) / lasted,
        "memory_mb": [
            statistics.median(memory[:third]) / 1e3,
            statistics.median(memory[-third:]) / 1e3,
        ],
        "updates_per_page_and_s": listeners.updates / lasted / max(1, open_pages),
        "bytes_per_page_and_s": listeners.got / lasted / max(1, open_pages),
    }


async def timed(client: httpx.AsyncClient, path: str, into: list[float]) -> int:
    """Ask once; how many bytes came."""
    began = time.perf_counter()
    answer = await client.get(path)
    into.append(time.perf_counter() - began)
    if answer.status_code != 200:
        raise click.ClickException(f"{path} answered {answer.status_code}")
    return len(answer.content)


def free_port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def measure(agents: int, tasks: int, open_pages: int, seconds: float) -> dict[str, Any]:
    """All of it."""
    port, other = free_port(), free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "tasks.sqlite", tasks)
        me = ("-m", "bench.orchestrator")
        with process(*me, "--simulate", str(agents), folder=folder) as fake:
            if fake.stdout is None:
                raise click.ClickException("the agents say nothing")
            urls = json.loads(fake.stdout.readline())
            config = configuration(folder, port, urls)
            command = ("-c", MAIN, "orchestrator", str(config))
            with (
                process(*command, folder=folder) as run,
                process(*me, "--constant", str(other), folder=folder),
            ):
                async with visitor(f"http://127.0.0.1:{other}") as peer:
                    await answers(peer, "/1")
                    return await _measured(folder, port, peer, run.pid, tasks, open_pages, seconds)


async def _measured(
    folder: Path,
    port: int,
    peer: httpx.AsyncClient,
    pid: int,
    tasks: int,
    open_pages: int,
    seconds: float,
) -> dict[str, Any]:
    token = folder / "token"
    end = time.monotonic() + START_S
    while not token.exists():
        if time.monotonic() > end:
            raise click.ClickException((folder / "log").read_text() or "the service does not start")
        await asyncio.sleep(0.1)
    async with visitor(f"http://127.0.0.1:{port}", token.read_text().strip()) as service:
        await answers(service, "/healthz")
        await asyncio.sleep(3)  # until all agents were asked and are followed
        return await watch(service, peer, pid, tasks, open_pages, seconds)


def faults(found: dict[str, Any]) -> list[str]:
    """What is not as it should be."""
    slow = [
        f"{path} takes {one['median_ms']:.0f} ms"
        for path, one in found["pages"].items()
        if one["median_ms"] > LIMIT_MS
    ]
    before, after = found["memory_mb"]
    grown = [f"memory grew from {before:.0f} to {after:.0f} MB"] if after > GROWTH * before else []
    return slow + grown


@click.command()
@click.option("--agents", default=50, show_default=True, help="How many talk.")
@click.option("--tasks", default=2_000, show_default=True, help="How many there are.")
@click.option("--pages", default=10, show_default=True, help="How many are open meanwhile.")
@click.option("--seconds", default=60.0, show_default=True, help="How long to look.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option("--simulate", type=int, hidden=True)
@click.option("--constant", "peer_port", type=int, hidden=True)
def main(
    agents: int,
    tasks: int,
    pages: int,
    seconds: float,
    as_json: bool,
    simulate: int | None,
    peer_port: int | None,
) -> None:
    """Ask for the orchestrator's pages while many agents talk and many pages are open."""
    if simulate is not None:
        asyncio.run(globals()["simulate"](simulate))
        return
    if peer_port is not None:
        asyncio.run(constant(peer_port))
        return
    if sys.platform != "linux":
        raise click.ClickException("this reads /proc: it needs Linux")
    if not as_json:
        click.echo(f"{agents} agents talk, {tasks} tasks, {pages} open pages, {seconds:.0f} s …")
    found = asyncio.run(measure(agents, tasks, pages, seconds))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _show(found)
    if wrong := faults(found):
        raise click.ClickException("; ".join(wrong))


def _show(found: dict[str, Any]) -> None:
    for path, one in found["pages"].items():
        click.echo(
            f"{path:16} {one['bytes'] / 1e3:7.1f} kB  {one['median_ms']:6.1f} ms"
            f"  (95 %: {one['p95_ms']:6.1f})  {one['ratio']:5.1f} x a constant of that size"
        )
    before, after = found["memory_mb"]
    click.echo(
        f"memory {before:.0f} MB, at the end {after:.0f}; {found['cpu_share']:.0%} of a core"
    )
    click.echo(
        f"an open page gets {found['updates_per_page_and_s']:.1f} updates"
        f" and {found['bytes_per_page_and_s'] / 1e3:.1f} kB a second"
    )


if __name__ == "__main__":
    main()
