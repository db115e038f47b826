"""What the verbs share that take somebody out of every host: the run, and how it went."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click
from rich.table import Table

from fleet.apply import Applied, result_of
from fleet.commands.running import note_run, runner_for
from fleet.commands.session import console
from fleet.commands.watching import Watcher
from fleet.difference import HostOutcome, Outcome
from fleet.exits import Exit, worst
from fleet.planned import gather
from fleet.problems import WrongUsageError
from fleet.runner import Outcome as RunOutcome
from fleet.target import Target

_STYLE = {Outcome.REMOVED: "green", Outcome.PENDING: "cyan", Outcome.REMAIN: "red"}
_EXITS = {Outcome.PENDING: Exit.OFF, Outcome.REMAIN: Exit.ERROR}


def run_only(
    target: Target, reason: str, only: frozenset[str], names: Sequence[str], watcher: Watcher
) -> Applied:
    """Run these capabilities alone, on all these hosts at once."""
    if not (only and names):
        return Applied()
    began = time.monotonic()
    run, runner = runner_for(target, reason, only)
    with watcher.over("changing what names them"):
        outcome = runner.change(names, watcher.heard)
    done = applied(target, names, outcome)
    note_run(target, run, done, began)
    return done


def applied(target: Target, names: Sequence[str], outcome: RunOutcome) -> Applied:
    """What became of the hosts of one run, without waves."""
    hosts = gather(target, names, outcome.events, "apply")
    done = Applied({one.host: result_of(one, stopped=outcome.stopped) for one in hosts})
    done.stopped = outcome.stopped
    return done


def confirm(command: str, question: str, *, yes: bool) -> None:
    """Ask, unless `yes` was said. Raises click.Abort on a no, WrongUsageError where nobody is."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise WrongUsageError.of(command, "nobody is there to confirm it", "say --yes")
    click.confirm(question, abort=True, err=True)


def exit_of(found: Sequence[HostOutcome]) -> Exit:
    """The exit code."""
    return worst(_EXITS.get(one.outcome, Exit.DONE) for one in found)


def show_outcomes(who: str, found: Sequence[HostOutcome], left: Sequence[str]) -> None:
    """Print what became of it on each host, and what no run can do."""
    out = console()
    if found:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("HOST", who, "WHY"):
            table.add_column(column, overflow="fold")
        for one in found:
            table.add_row(one.host, f"[{_STYLE[one.outcome]}]{one.outcome}[/]", one.reason)
        out.print(table)
    out.print("\nLeft to do by hand:")
    for step in left:
        out.print(f"- {step}", markup=False)
