"""How quickly the orchestrator's pages come while a big fleet works, and whether its memory grows.

usage: python -m bench.orchestrator [--agents N] [--tasks N] [--pages N] [--seconds S] [--json]
The service itself, in a process of its own: it follows a task on each of many agents that stream
all the time (bench/bigfleet.py), and keeps open pages up to date. Each page is asked for in turns
with a constant of the same size behind the same guard (bench/constant.py), in the same run: so the
ratio means something on other machines.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import click
import httpx

from bench.constant import TOKEN
from bench.gateway import MAIN, process

LIMIT_MS = 200.0  # for the median of every page
GROWTH = 1.10  # of the memory, from the first third of the time to the last
START_S = 60.0
WARM_S = 10.0  # until all agents were asked and are followed
PAUSE_S = 0.2  # between two rounds of all pages
KB, MB = 1e3, 1e6


@dataclass
class Page:
    """What was seen of a page: seconds for each time that it was asked for, and for the peer's."""

    size: int = 0
    took: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)

    def report(self) -> dict[str, float]:
        """Return the figures, times in milliseconds."""
        median, peer = statistics.median(self.took), statistics.median(self.peer)
        return {
            "bytes": self.size,
            "median_ms": 1000 * median,
            "p95_ms": 1000 * statistics.quantiles(self.took, n=20)[18],
            "peer_ms": 1000 * peer,
            "peer_p95_ms": 1000 * statistics.quantiles(self.peer, n=20)[18],
            "ratio": median / peer,
        }


@dataclass
class Listener:
    """A page that is open, and what keeps it up to date."""

    path: str
    got: int = 0  # bytes
    updates: int = 0

    async def listen(self, client: httpx.AsyncClient) -> None:
        """Open the page as a browser does, and read its stream until cancelled."""
        found = re.search('sse-connect="([^"]+)"', (await client.get(self.path)).text)
        if found is None:
            raise click.ClickException(f"{self.path} is not kept up to date")
        async with client.stream("GET", unescape(found[1]), timeout=None) as stream:
            async for piece in stream.aiter_bytes():
                self.got += len(piece)
                self.updates += piece.count(b"event: parts")
        raise click.ClickException(f"the stream of {self.path} ended")


@asynccontextmanager
async def listening(
    client: httpx.AsyncClient, paths: Sequence[str]
) -> AsyncIterator[list[Listener]]:
    """Keep these pages open for as long as the block lasts."""
    listeners = [Listener(path) for path in paths]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.listen(client)) for one in listeners]
        yield listeners
        for task in tasks:
            task.cancel()


@dataclass
class Process:
    """What the system tells of the service's process."""

    pid: int
    memory: list[int] = field(default_factory=list)  # bytes in RAM, each time that it was looked at

    def look(self) -> None:
        """Note its memory."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        if found := re.search(r"VmRSS:\s+(\d+) kB", text):
            self.memory.append(int(found[1]) << 10)

    def cpu_s(self) -> float:
        """Return the processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> tuple[float, float]:
        """Return what it was at first, and at the end: the medians of a third of the time each."""
        third = max(1, len(self.memory) // 3)
        first, last = self.memory[:third], self.memory[-third:]
        return statistics.median(first) / MB, statistics.median(last) / MB


def visitor(port: int, token: str) -> httpx.AsyncClient:
    """Return a client of the service, or of its peer."""
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        headers={"authorization": f"Bearer {token}"},
        limits=httpx.Limits(max_connections=None),
        timeout=30,
        trust_env=False,
    )


async def timed(client: httpx.AsyncClient, path: str, into: list[float]) -> int:
    """Ask once; returns how many bytes came."""
    began = time.perf_counter()
    answer = await client.get(path)
    into.append(time.perf_counter() - began)
    if answer.status_code != 200:
        raise click.ClickException(f"{path} answered {answer.status_code}")
    return len(answer.content)


async def watch(
    service: httpx.AsyncClient,
    peer: httpx.AsyncClient,
    run: Process,
    paths: Sequence[str],
    kept: Sequence[str],
    seconds: float,
) -> dict[str, Any]:
    """Ask for these pages in turns, while those are kept open; returns what was seen."""
    pages = {path: Page() for path in paths}
    async with listening(service, kept) as listeners:
        await asyncio.sleep(WARM_S)
        for path in paths:
            await timed(service, path, [])
        already = [(one.got, one.updates) for one in listeners]
        began, cpu_s = time.monotonic(), run.cpu_s()
        while time.monotonic() - began < seconds:
            for path, page in pages.items():
                page.size = await timed(service, path, page.took)
                await timed(peer, f"/{page.size}", page.peer)
            run.look()
            await asyncio.sleep(PAUSE_S)
        lasted = time.monotonic() - began
        each = lasted * max(1, len(listeners))
        return {
            "pages": {path: page.report() for path, page in pages.items()},
            "rounds": len(run.memory),
            "cpu_share": (run.cpu_s() - cpu_s) / lasted,
            "memory_mb": run.memory_mb(),
            "updates_per_page_and_s": (
                sum(one.updates for one in listeners) - sum(n for _, n in already)
            )
            / each,
            "bytes_per_page_and_s": (sum(one.got for one in listeners) - sum(n for n, _ in already))
            / each,
        }


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def service(folder: Path, agents: int, tasks: int) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Run the service in a big fleet; yields its port, and its process."""
    port = free_port()
    around = ("-m", "bench.bigfleet", str(folder), str(port), str(agents), str(tasks))
    with process(*around, folder=folder) as fleet:
        if fleet.stdout is None or not fleet.stdout.readline():
            raise click.ClickException((folder / "log").read_text())
        path = f"{folder}:{os.environ['PATH']}"  # there its `ssh` is
        command = ("-c", MAIN, "orchestrator", str(folder / "orchestrator.json"))
        with process(*command, folder=folder, PATH=path) as run:
            wait_for(port, folder)
            yield port, run


def wait_for(port: int, folder: Path) -> None:
    """Wait until somebody listens there."""
    end = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise click.ClickException((folder / "log").read_text()) from None
            time.sleep(0.1)


async def measure(agents: int, tasks: int, open_pages: int, seconds: float) -> dict[str, Any]:
    """Run all of it, and look at it for so long."""
    ended = f"/tasks/{tasks - agents}"
    paths = ("/", "/tasks", f"/tasks/{tasks}", ended, "/agents/host3", "/costs", "/cluster")
    live = ("/", f"/tasks/{tasks}", "/tasks", "/agents/host1", "/cluster")
    with tempfile.TemporaryDirectory() as name:
        folder, other = Path(name), free_port()
        with (
            service(folder, agents, tasks) as (port, run),
            process("-m", "bench.constant", str(other), folder=folder),
        ):
            wait_for(other, folder)
            token = (folder / "token").read_text().strip()
            async with visitor(port, token) as visiting, visitor(other, TOKEN) as peer:
                kept = [live[number % len(live)] for number in range(open_pages)]
                asked = (*paths, "/api/v1/tasks")
                found = await watch(visiting, peer, Process(run.pid), asked, kept, seconds)
                counts = (await visiting.get("/api/v1/tasks")).json()["counts"]
                if counts.get("running") != agents:
                    raise click.ClickException(f"tasks did not go on: {counts}")
                return found


def faults(found: dict[str, Any]) -> list[str]:
    """Say what is not as it should be."""
    slow = [
        f"{path} takes {one['median_ms']:.0f} ms"
        for path, one in found["pages"].items()
        if one["median_ms"] > LIMIT_MS
    ]
    before, after = found["memory_mb"]
    grown = [f"memory grew from {before:.0f} to {after:.0f} MB"] if after > GROWTH * before else []
    return slow + grown


def show(found: dict[str, Any]) -> None:
    """Print it for people."""
    for path, one in found["pages"].items():
        click.echo(
            f"{path:16} {one['bytes'] / KB:6.1f} kB  {one['median_ms']:6.1f} ms (limit"
            f" {LIMIT_MS:.0f})  95 %: {one['p95_ms']:6.1f} ms  {one['ratio']:5.1f} x a constant"
        )
    before, after = found["memory_mb"]
    click.echo(
        f"memory {before:.1f} MB, at the end {after:.1f} (limit {GROWTH * before:.1f});"
        f" {found['cpu_share']:.0%} of a core"
    )
    click.echo(
        f"an open page gets {found['updates_per_page_and_s']:.1f} updates"
        f" and {found['bytes_per_page_and_s'] / KB:.1f} kB a second"
    )


@click.command()
@click.option("--agents", default=50, show_default=True, help="How many work.")
@click.option("--tasks", default=2_000, show_default=True, help="How many there are.")
@click.option("--pages", default=10, show_default=True, help="How many are open meanwhile.")
@click.option("--seconds", default=60.0, show_default=True, help="How long to look.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def main(agents: int, tasks: int, pages: int, seconds: float, as_json: bool) -> None:
    """Ask for the orchestrator's pages while many agents work and many pages are open."""
    if sys.platform != "linux":
        raise click.ClickException("this reads /proc: it needs Linux")
    if not 4 <= agents < tasks:
        raise click.UsageError("at least 4 agents, and more tasks than agents")
    if not as_json:
        click.echo(f"{agents} agents work, {tasks} tasks, {pages} open pages, {seconds:.0f} s")
    found = asyncio.run(measure(agents, tasks, pages, seconds))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show(found)
    if wrong := faults(found):
        raise click.ClickException("; ".join(wrong))


if __name__ == "__main__":
    main()
