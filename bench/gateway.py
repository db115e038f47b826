"""What the metering gateway adds to a stream: many at once, direct and through it, side by side.

usage: python -m bench.gateway [--streams N] [--rounds N] [--json]
A fake Messages API streams events that carry the moment they were sent; both ways are measured in
the same run, in turns, against the same fake. Every stream ends with its digest, which is checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click

from bench.fakeapi import MODEL, events, fake_api, fetch
from orchestrator.client import Gateway, GatewayError

ROOT = Path(__file__).resolve().parent.parent
EVENTS = 40  # of text, in a stream
APART_S = 0.05  # a model writes some twenty events a second
LINE = b": sent "
DIGEST = b": sha256 "
START_S = 20.0
MAIN = "import sys; from orchestrator.cli import main; sys.exit(main())"


def stream() -> Iterator[bytes]:
    """Yield a stream's events, each with the moment it is sent; the last line is the digest."""
    digest = hashlib.sha256()
    usage = {"input_tokens": 20, "output_tokens": EVENTS}
    for event in events(usage, [f"word {number} " for number in range(EVENTS)]):
        piece = b"%b%.6f\n%b" % (LINE, time.monotonic(), event)
        digest.update(piece)
        yield piece
    yield DIGEST + digest.hexdigest().encode() + b"\n\n"


@dataclass
class Measured:
    """What was seen of one way: seconds from sending to arriving, and to the first event."""

    delays: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)
    damaged: int = 0

    def report(self) -> dict[str, float]:
        """Return the figures, times in milliseconds."""
        return {
            "event_median_ms": 1000 * statistics.median(self.delays),
            "event_p99_ms": 1000 * statistics.quantiles(self.delays, n=100)[98],
            "first_median_ms": 1000 * statistics.median(self.firsts),
            "wall_s": statistics.median(self.walls),
            "damaged": self.damaged,
        }


async def one(url: str, headers: Mapping[str, str], measured: Measured) -> None:
    """Read one stream, and compare it with the digest at its end."""
    got: list[bytes] = []
    began = time.monotonic()

    def arrived(piece: bytes) -> None:
        now = time.monotonic()
        if not got:
            measured.firsts.append(now - began)
        for line in piece.split(b"\n"):
            if line.startswith(LINE):
                measured.delays.append(now - float(line.removeprefix(LINE)))
        got.append(piece)

    asked = {"model": MODEL, "max_tokens": 100, "stream": True, "messages": []}
    status = await fetch(f"{url}/v1/messages", headers, json.dumps(asked).encode(), arrived)
    body, _, digest = b"".join(got).rpartition(DIGEST)
    if status != 200 or hashlib.sha256(body).hexdigest().encode() != digest.strip():
        measured.damaged += 1


async def many(url: str, headers: Mapping[str, str], streams: int, measured: Measured) -> None:
    """Read so many streams at once."""
    began = time.monotonic()
    await asyncio.gather(*(one(url, headers, measured) for _ in range(streams)))
    measured.walls.append(time.monotonic() - began)


async def upstream() -> None:
    """Be the fake API: say the address, and serve until the end."""

    async with fake_api(stream, APART_S) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


@contextlib.contextmanager
def process(*command: str, folder: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program beside us for as long as the block lasts, `more` in its environment."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "CREDENTIALS_DIRECTORY": str(folder),
        **more,
    }
    with (folder / "log").open("a") as log:
        run = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )
        try:
            yield run
        finally:
            run.kill()
            run.wait()


@contextlib.contextmanager
def gateway(folder: Path, api: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Run a gateway before the fake API; yields its address and the headers of a session."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = {
        "listen": "127.0.0.1",
        "port": port,
        "upstream": api,
        "credential": "anthropic_api_key",
        "ledger": str(folder / "ledger.sqlite"),
        "socket": str(folder / "admin.sock"),
        "warn_percent": 80,
        "daily": None,
        "hosts": {"bench": {"addresses": ["127.0.0.1"], "session": 1000, "daily": None}},
    }
    (folder / "gateway.json").write_text(json.dumps(config))
    (folder / "anthropic_api_key").write_text("sk-ant-bench")
    command = ("-c", MAIN, "gateway", str(folder / "gateway.json"))
    with process(*command, folder=folder):
        yield f"http://127.0.0.1:{port}", {"x-api-key": token_of(folder / "admin.sock")}


def token_of(admin: Path) -> str:
    """Return the token of a new session, once the gateway answers."""
    end = time.monotonic() + START_S
    while True:
        try:
            session, token = Gateway(admin).issue("bench")
            Gateway(admin).begin(session)
            return token
        except GatewayError as error:
            if time.monotonic() > end:
                raise click.ClickException(str(error)) from None
            time.sleep(0.1)


def measure(streams: int, rounds: int) -> dict[str, dict[str, float]]:
    """Measure both ways in turns; returns their figures."""
    ways = {"direct": Measured(), "gateway": Measured()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with process("-m", "bench.gateway", "--upstream", folder=folder) as fake:
            if fake.stdout is None:
                raise click.ClickException("the fake API says nothing")
            api = fake.stdout.readline().strip()
            with gateway(folder, api) as (url, token):
                for number in range(rounds + 1):  # the first warms both up
                    for way, where in (("direct", api), ("gateway", url)):
                        into = ways[way] if number else Measured()
                        asyncio.run(many(where, token, streams, into))
    return {way: measured.report() for way, measured in ways.items()}


@click.command()
@click.option("--streams", default=100, show_default=True, help="How many at once.")
@click.option("--rounds", default=3, show_default=True, help="Times each way is measured.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option("--upstream", "is_upstream", is_flag=True, hidden=True)
def main(streams: int, rounds: int, as_json: bool, is_upstream: bool) -> None:
    """Compare streams through the metering gateway with streams direct from the same API."""
    if is_upstream:
        asyncio.run(upstream())
        return
    found = measure(streams, rounds)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"{streams} streams at once, {EVENTS} events {1000 * APART_S:.0f} ms apart")
    base = found["direct"]
    for way, figures in found.items():
        click.echo(
            f"{way:8} an event {figures['event_median_ms']:7.2f} ms (p99"
            f" {figures['event_p99_ms']:7.2f})  the first {figures['first_median_ms']:7.2f} ms "
            f" all {figures['wall_s']:5.2f} s  {figures['wall_s'] / base['wall_s']:4.2f} x direct "
            f" damaged {figures['damaged']:.0f}"
        )
    added = found["gateway"]["event_median_ms"] - base["event_median_ms"]
    click.echo(f"the gateway adds {added:.2f} ms to an event (median)")
    if any(figures["damaged"] for figures in found.values()):
        raise click.ClickException("streams arrived that are not what was sent")


if __name__ == "__main__":
    main()
