"""What the verbs that run pyinfra share: the run, its log, and the look at all hosts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict

import click

from fleet import complete
from fleet.apply import Applied
from fleet.commands.watching import Watcher
from fleet.history import remember
from fleet.limits import limited
from fleet.planned import HostPlan, Planned, gather, truth_of
from fleet.run import Run, this_run
from fleet.runner import DEPLOY, Runner
from fleet.target import Target
from fleet.workstation import state_dir

LOGS_MOST = 20  # runs whose log is kept

limit_option = click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME",
    shell_complete=complete.limits,
    help="Only this host, role or group; repeatable.",
)


def runner_for(
    target: Target, reason: str, only: frozenset[str] = frozenset(), deploy: str = DEPLOY
) -> tuple[Run, Runner]:
    """A run that begins now, and who carries it out; its log is kept for a while."""
    run = this_run(reason)
    folder = state_dir(target) / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    for old in sorted(folder.glob("*.log"))[: -LOGS_MOST + 1]:
        old.unlink(missing_ok=True)
    log = folder / f"{run.id}.log"
    log.touch(mode=0o600)
    return run, Runner(target, run, log, only, deploy)


def plan_of(
    target: Target, runner: Runner, limits: Sequence[str], watcher: Watcher, run: Run
) -> Planned:
    """Look at the hosts and say what would change. Raises FleetError, KeyboardInterrupt."""
    names = limited(target.fleet, limits)
    with watcher.over(f"looking at {len(names)} {'host' if len(names) == 1 else 'hosts'}"):
        seen = runner.look(names, watcher.heard)
    made = {"who": f"{run.who}@{run.place}", "when": run.began, "commit": run.commit}
    hosts = gather(target, names, seen.events, "plan")
    return Planned(target.fleet.name, truth_of(target, names), hosts, made)


def note_run(target: Target, run: Run, done: Applied, began: float, **more: object) -> None:
    """Write the run in the workstation's history; `began` is its start by the monotonic clock."""
    hosts = {
        one.host: {
            "outcome": one.ending.value,
            "changes": one.changes,
            "pending": one.pending,
            "error": one.error,
        }
        for one in done.results.values()
    }
    seconds = round(time.monotonic() - began, 1)
    remember(
        target, {**run.noted, **more, "exit": int(done.exit), "seconds": seconds, "hosts": hosts}
    )


def plan_as_dict(plan: Planned) -> dict[str, object]:
    """The plan for programs."""
    return {
        "fleet": plan.fleet,
        "exit": int(plan.exit),
        "truth": plan.truth,
        "hosts": [_host(host) for host in plan.hosts],
    }


def _host(host: HostPlan) -> dict[str, object]:
    return {
        "host": host.host,
        "standing": host.standing.value,
        "error": host.error,
        "steps": [asdict(step) for step in host.steps],
        "skipped": host.skipped,
        "remarks": host.remarks,
    }
