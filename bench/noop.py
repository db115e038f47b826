"""A run that changes nothing, on the lab's hosts: bare ssh, agentfleet, stock operations.

usage: python -m bench.noop [--rounds N] [--json]
The floor is one ssh a host with one checking script, all hosts at once. The lab has to be up and
converged (`make demo`).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from facts.probe import compose
from fleet.plan import context_of, view_of
from fleet.ssh import as_root, route
from fleet.target import LAB, Target, load_target

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 120.0


def floor(target: Target) -> None:
    """One ssh with one checking script on every host at once."""

    def check(name: str) -> None:
        view = view_of(target, name)
        answer = as_root(
            route(view.host, target), compose(context_of("bench", view).asked), TIMEOUT_S
        )
        if answer.code:
            raise click.ClickException(f"{name}: {answer.stderr}; run `make demo` first")

    with ThreadPoolExecutor(max_workers=len(target.fleet.hosts)) as pool:
        list(pool.map(check, [host.name for host in target.fleet.hosts]))


def pyinfra(deploy: str, more: Mapping[str, str] | None = None, *options: str) -> dict[str, int]:
    """A pyinfra run over the lab; returns the remote executions of each host.

    `more` goes into its environment, `options` are pyinfra's own.
    """
    with tempfile.NamedTemporaryFile(suffix=".json") as counts:
        command = [
            sys.executable,
            "-m",
            "bench.counted",
            counts.name,
            "lab/inventory.py",
            deploy,
            "-y",
            *options,
        ]
        environment = {**os.environ, "FLEET_TARGET": LAB, "PYINFRA_PROGRESS": "off", **(more or {})}
        run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
        if run.returncode:
            raise click.ClickException(f"{deploy} failed:\n{run.stderr.decode()[-2000:]}")
        found = json.loads(Path(counts.name).read_text())
    return {host: sum(kinds.values()) for host, kinds in found.items()}


def _seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Times each is run; medians count.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def main(rounds: int, as_json: bool) -> None:
    """Compare a run that changes nothing with stock operations and with bare ssh."""
    target = load_target(LAB)
    executions = {deploy: pyinfra(deploy) for deploy in ("deploy.py", "bench/stock_deploy.py")}
    acts: dict[str, Callable[[], object]] = {
        "floor (one ssh a host)": lambda: floor(target),
        "agentfleet": lambda: pyinfra("deploy.py"),
        "stock operations": lambda: pyinfra("bench/stock_deploy.py"),
    }
    times: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(rounds):  # in turns, so that a slow moment of the machine hits all of them
        for name, act in acts.items():
            times[name].append(_seconds(act))
    medians = {name: statistics.median(found) for name, found in times.items()}
    counts = [
        1,
        max(executions["deploy.py"].values()),
        max(executions["bench/stock_deploy.py"].values()),
    ]
    if as_json:
        click.echo(json.dumps({"seconds": medians, "executions": executions}, indent=2))
        return
    base = next(iter(medians.values()))
    click.echo(f"{len(target.fleet.hosts)} hosts, median of {rounds}")
    for (name, seconds), count in zip(medians.items(), counts, strict=True):
        click.echo(
            f"{name:24} {seconds:6.2f} s  {seconds / base:5.2f} x floor  "
            f"at most {count} remote executions a host"
        )


if __name__ == "__main__":
    main()
