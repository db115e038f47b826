"""`make demo`: from nothing to a converged fleet on this machine, and a look at it."""

from __future__ import annotations

import subprocess
import sys
import time

import click

from fleet.cluster import nodes
from fleet.status import State, statuses
from fleet.target import LAB, ROOT, Target, load_target
from lab.api import Lab
from lab.errors import LabError
from lab.progress import Reporter

REGISTRATION_S = 90  # a worker announces itself 5 to 40 s after its start
RUNS = 2  # the second one only when the first left something, such as a host that rebooted


def main() -> int:
    """Run the demo; returns the exit code."""
    reporter = Reporter()
    began = time.monotonic()
    try:
        Lab(reporter=reporter).up()
    except LabError as error:
        click.echo(str(error), err=True)
        return 1
    for _ in range(RUNS):
        with reporter.step("converging (pyinfra lab/inventory.py deploy.py -y)"):
            code = _pyinfra()
        if code:
            click.echo("the run above failed; `fleet --lab status` shows where", err=True)
            return code
        target = load_target(LAB)  # with the addresses that the run has learned
        if all(one.state is State.CONVERGED for one in statuses(target)):
            break
    with reporter.step("waiting for every worker to announce itself"):
        _await_workers(target)
    code = subprocess.run(
        [sys.executable, "-m", "fleet", "--lab", "status"], check=False
    ).returncode
    click.echo(f"\n{time.monotonic() - began:.0f} s. {HINT}", err=True)
    return code


HINT = """Now try, for example:
  .venv/bin/fleet lab ssh HOST           log in to a host
  .venv/bin/fleet --lab budget           what its agents have spent
  .venv/bin/fleet --lab check            whether everything works
  .venv/bin/fleet --lab plan --limit pi  what a run would change
  .venv/bin/fleet lab down               stop it; `make demo` goes on from there"""


def _pyinfra() -> int:
    command = [sys.executable, "-m", "pyinfra", "lab/inventory.py", "deploy.py", "-y"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _await_workers(target: Target) -> None:
    """Wait until the scheduler knows every host that shall work; what is missing is shown later."""
    expected = len(target.fleet.hosts)
    deadline = time.monotonic() + REGISTRATION_S
    while time.monotonic() < deadline:
        try:
            if len(nodes(target)) >= expected:
                return
        except ConnectionError:
            pass
        time.sleep(2)


if __name__ == "__main__":
    sys.exit(main())
