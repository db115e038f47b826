"""How a dry run grows with the fleet: time and memory, from 15 to 60 hosts that only pretend.

usage: python -m bench.plan60 [--rounds N] [--json]
pyinfra's own command line, deploy.py and everything below it, as on a real fleet; but each host
answers a look after 50 ms with what one that is converged prints (bench/simulated.py). So what is
measured is this machine's work. Every third host has a file that somebody edited; the bench fails
where a dry run finds anything else. Processor time is what is judged, since others may use the
machine too. The time on the clock stands beside it, and how often the run gave the processor up by
itself: next to never, since while one host is awaited there is another to compute. So what the
clock shows beyond the processor's time is what others took of it.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

from bench import simulated
from fleet.target import REAL, ROOT

SIZES = (15, 30, 60)
GROWTH = 2.3  # from half of the hosts to all of them: linear, and something for noise
MEMORY_MB = 500.0
INVENTORY = "bench/simulated_inventory.py"
LOOK_S = 0.05  # between two looks at the memory
MB = 1e6


@dataclass
class Measured:
    """What was seen of dry runs over so many hosts."""

    hosts: int
    took: list[float] = field(default_factory=list)  # seconds on the clock
    worked: list[float] = field(default_factory=list)  # seconds of processor time
    memory: list[int] = field(default_factory=list)  # bytes at most, of all processes of a run
    waited: list[int] = field(default_factory=list)  # times that a run had nothing to compute

    @property
    def seconds(self) -> float:
        """The median on the clock."""
        return statistics.median(self.took)

    @property
    def cpu_s(self) -> float:
        """The median of the processor time."""
        return statistics.median(self.worked)

    @property
    def memory_mb(self) -> float:
        """The most that any run had."""
        return max(self.memory) / MB


@contextmanager
def fleet_of(hosts: int) -> Iterator[dict[str, str]]:
    """Make a fleet of so many hosts; yields the environment that makes a run see it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        more = {
            "FLEET_FILE": str(simulated.describe(folder, hosts)),
            "FLEET_TARGET": REAL,
            "SIMULATED_KEY": "pays-for-nothing",
            "SIMULATED_ANSWERS": str(folder / "answers.json"),
            "PYINFRA_PROGRESS": "off",
        }
        with patch.dict(os.environ, more):  # what is written here follows from the same fleet
            simulated.pack(folder)
            said = simulated.answers(simulated.simulated_target())
            (folder / "answers.json").write_text(json.dumps(said))
            yield dict(os.environ)


@dataclass(frozen=True)
class Run:
    """A dry run: seconds on the clock and of the processor, how often it had nothing to compute,
    most bytes of memory, what it said.
    """

    took: float
    worked: float
    waited: int
    memory: int
    said: str


def dry_run(environment: Mapping[str, str], *options: str) -> Run:
    """Plan, and change nothing. Raises ClickException when that fails."""
    program = [str(Path(sys.executable).with_name("pyinfra")), INVENTORY, "deploy.py", "--dry"]
    with tempfile.TemporaryFile("w+") as printed:
        start, before = time.perf_counter(), _used()
        run = subprocess.Popen(
            [*program, *options], cwd=ROOT, env=environment, stdout=printed, stderr=printed
        )
        most = 0
        while run.poll() is None:
            most = max(most, memory(run.pid))
            time.sleep(LOOK_S)
        took = time.perf_counter() - start
        printed.seek(0)
        said = printed.read()
    if run.returncode:
        raise click.ClickException(f"the dry run failed:\n{said[-2000:]}")
    worked, waited = (now - then for now, then in zip(_used(), before, strict=True))
    return Run(took, worked, int(waited), most, said)


def _used() -> tuple[float, float]:
    """Processor time of all processes that this one has waited for, and how often they waited."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime, used.ru_nvcsw


def memory(pid: int) -> int:
    """Bytes in RAM of a process and of all below it; those that have just ended count nothing."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    own = next((line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")), "0")
    return (int(own) << 10) + sum(memory(int(child)) for child in children)


def verify(environment: Mapping[str, str]) -> None:
    """Fail unless a dry run finds what was edited, and nothing else."""
    said = dry_run(environment, "--json").said
    plan = next(line for line in said.splitlines() if line.startswith('{"plan"'))
    found = {
        host.rpartition("/")[2]
        for one in json.loads(plan)["plan"]
        for host in one["hosts_with_change"]
    }
    wanted = set(simulated.edited(simulated.simulated_target()))
    if found != wanted:
        odd = ", ".join(sorted(found ^ wanted))
        raise click.ClickException(f"not what was edited: {odd}\n{said[-3000:]}")


def measure(hosts: int, rounds: int) -> Measured:
    """Run over so many hosts."""
    found = Measured(hosts)
    with fleet_of(hosts) as environment:
        verify(environment)
        for _ in range(rounds):
            run = dry_run(environment, "--diff")
            found.took.append(run.took)
            found.worked.append(run.worked)
            found.memory.append(run.memory)
            found.waited.append(run.waited)
    return found


def faults(found: list[Measured]) -> list[str]:
    """Say what is not as it should be."""
    growth = found[-1].cpu_s / found[-2].cpu_s
    slow = [f"twice the hosts take {growth:.2f} times the processor (limit {GROWTH})"]
    large = [f"{found[-1].memory_mb:.0f} MB for {found[-1].hosts} hosts (limit {MEMORY_MB:.0f})"]
    return [
        *(slow if growth > GROWTH else []),
        *(large if found[-1].memory_mb > MEMORY_MB else []),
    ]


def show(found: list[Measured]) -> None:
    """Print it for people."""
    click.echo("a dry run with diffs; hosts that only pretend, and answer after 50 ms")
    before: Measured | None = None
    for one in found:
        ratio = f"{one.cpu_s / before.cpu_s:5.2f} x" if before else " " * 7
        click.echo(
            f"{one.hosts:4} hosts {one.seconds:7.2f} s, of the processor {one.cpu_s:6.2f} s {ratio}"
            f" {1000 * one.cpu_s / one.hosts:5.0f} ms a host {one.memory_mb:5.0f} MB,"
            f" waited {max(one.waited)} times"
        )
        before = one
    click.echo(f"limits: {GROWTH} x for twice the hosts, {MEMORY_MB:.0f} MB")


def report(found: list[Measured]) -> dict[str, Any]:
    """Return it for programs."""
    return {
        str(one.hosts): {
            "seconds": one.seconds,
            "cpu_s": one.cpu_s,
            "memory_mb": one.memory_mb,
            "waited": max(one.waited),
        }
        for one in found
    }


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Times each is run; medians count.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def main(rounds: int, as_json: bool) -> None:
    """Plan for fleets of several sizes, none of them real."""
    if sys.platform != "linux":
        raise click.ClickException("this reads /proc: it needs Linux")
    found = [measure(hosts, rounds) for hosts in SIZES]
    if as_json:
        click.echo(json.dumps(report(found), indent=2))
    else:
        show(found)
    if wrong := faults(found):
        raise click.ClickException("; ".join(wrong))


if __name__ == "__main__":
    main()
