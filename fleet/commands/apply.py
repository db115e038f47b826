"""`fleet apply`: bring the hosts to what fleet.yaml says, wave by wave."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click

from fleet.apply import Applied, Applier
from fleet.commands.planview import show_plan, show_results
from fleet.commands.running import limit_option, note_run, plan_as_dict, plan_of, runner_for
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.commands.watching import Watcher
from fleet.exits import Exit
from fleet.fleetlock import FleetLock
from fleet.history import left_out
from fleet.planned import Planned, Standing, load, staleness
from fleet.problems import FleetError, WrongUsageError
from fleet.runner import Event, Runner
from fleet.target import Target
from fleet.yamlfile import display


@click.command(
    epilog=examples(
        "fleet apply",
        "fleet apply --limit pi --yes",
        "fleet apply --pending                 hosts that were off last time",
    )
)
@click.argument("file", metavar="[PLAN]", required=False, type=click.Path(path_type=Path))
@limit_option
@click.option("--pending", is_flag=True, help="Only hosts that the last run did not get to.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--wait", is_flag=True, help="Wait while somebody else's run has the fleet.")
@click.option("--no-diff", is_flag=True, help="Say what changes without the lines that do.")
@json_option
@pass_session
def apply(
    session: Session,
    file: Path | None,
    limits: tuple[str, ...],
    pending: bool,
    yes: bool,
    wait: bool,
    no_diff: bool,
    as_json: bool,
) -> int:
    """Bring the hosts to what fleet.yaml says: show what would change, ask, and change it. With a
    PLAN that `fleet plan --save` wrote: exactly that, or nothing when fleet.yaml or a host has
    changed since.

    The orchestrator comes first, then the first host of each role, then the rest. After each wave
    its hosts are looked at again; where one is not well, nothing further is touched. A host that is
    off is left out, and a host that fails fails alone. Ctrl-C ends it where every host is
    consistent.

    Exit code: 0 done or nothing to do, 1 a host failed, 2 restarts are pending, 3 hosts are off
    that may be, 4 another run has the fleet or a host, 5 the plan is stale, 130 interrupted.
    """
    target = session.target()
    watcher = Watcher(quiet=as_json)
    meant = _meant(target, limits, file, pending=pending)
    if as_json and not yes:
        fix = "say --yes, or look at `fleet plan --json` first"
        raise WrongUsageError.of("fleet apply", "--json asks nobody", fix)
    if meant is None:
        click.echo("no host was left out", err=as_json)
        return Exit.DONE
    began = time.monotonic()
    run, runner = runner_for(target, _reason(limits, file, pending=pending))
    with FleetLock(target, run, watcher.say, wait=wait) as lock:
        plan = plan_of(target, runner, meant, watcher, run)
        if file:
            _refuse_stale(file, plan)
        if not as_json:
            show_plan(console(), plan, diffs=not no_diff)
        if not agreed(plan, yes=yes):
            return Exit.INTERRUPTED
        done = carry_out(session, runner, plan, watcher, lock)
    note_run(target, run, done, began, truth=plan.truth)
    if as_json:
        results = [asdict(one) for one in done.results.values()]
        print_json({**plan_as_dict(plan), "exit": int(done.exit), "results": results})
    elif plan.named(Standing.CHANGES):
        show_results(console(), done)
    return done.exit


def _meant(
    target: Target, limits: tuple[str, ...], file: Path | None, *, pending: bool
) -> tuple[str, ...] | None:
    """The limits; None when only hosts left out were meant, and there are none."""
    if sum((bool(limits), bool(file), pending)) > 1:
        fault = "PLAN, --limit and --pending exclude each other"
        raise WrongUsageError.of("fleet apply", fault, "a saved plan has its own limit")
    if file:
        return tuple(host.host for host in _saved(target, file).hosts)
    if pending:
        return left_out(target) or None
    return limits


def _saved(target: Target, file: Path) -> Planned:
    saved = load(file)
    if saved.fleet != target.fleet.name:
        fault = f"is a plan of the fleet {saved.fleet}, this one is {target.fleet.name}"
        raise FleetError.of(str(file), fault, "")
    return saved


def _reason(limits: tuple[str, ...], file: Path | None, *, pending: bool) -> str:
    more = " --pending" if pending else f" {file.name}" if file else ""
    return "apply" + more + "".join(f" --limit {limit}" for limit in limits)


class StaleError(FleetError):
    """What was planned is not what would happen now."""

    exit_code = Exit.STALE


def _refuse_stale(file: Path, now: Planned) -> None:
    if moved := staleness(load(file), now):
        lines = "\n".join(f"    {line}" for line in moved)
        fault = f"is stale, nothing was changed:\n{lines}"
        raise StaleError.of(display(file), fault, "make a new one: fleet plan --save FILE")


def agreed(plan: Planned, *, yes: bool, command: str = "fleet apply") -> bool:
    """Whether the plan is to be carried out: one that changes nothing, or that the user wants.

    Raises WrongUsageError where nobody can say.
    """
    if yes or not plan.named(Standing.CHANGES):
        return True
    if not sys.stdin.isatty():
        fault = "nobody is there to confirm it, nothing was changed"
        raise WrongUsageError.of(command, fault, "say --yes")
    count = len(plan.named(Standing.CHANGES))
    return click.confirm(f"Change {count} {'host' if count == 1 else 'hosts'}?", err=True)


def carry_out(
    session: Session,
    runner: Runner,
    plan: Planned,
    watcher: Watcher,
    lock: FleetLock,
    what: str = "applying",
) -> Applied:
    """Go through the waves of the plan, and keep the fleet's lock alive meanwhile."""

    def heard(event: Event) -> None:
        lock.renew()
        watcher.heard(event)

    with watcher.over(what) if plan.named(Standing.CHANGES) else nullcontext():
        return Applier(session.target, runner, heard, watcher.turn).apply(plan)
