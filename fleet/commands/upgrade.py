"""`fleet upgrade`: bring what is installed up to date, in waves."""

from __future__ import annotations

import time

import click

from fleet.apply import Applied
from fleet.commands.apply import agreed, carry_out
from fleet.commands.planview import show_plan, show_results
from fleet.commands.running import limit_option, note_run, plan_as_dict, plan_of, runner_for
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.commands.watching import Watcher
from fleet.exits import Exit
from fleet.fleetlock import FleetLock
from fleet.planned import Standing
from fleet.problems import WrongUsageError
from fleet.run import Run
from fleet.runner import Runner

DEPLOY = "fleet/upgrade_deploy.py"


@click.command(epilog=examples("fleet upgrade --os", "fleet upgrade --os --limit pi --yes"))
@click.option("--os", "system", is_flag=True, help="The packages of the hosts' own systems.")
@limit_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--wait", is_flag=True, help="Wait while somebody else's run has the fleet.")
@json_option
@pass_session
def upgrade(
    session: Session, system: bool, limits: tuple[str, ...], yes: bool, wait: bool, as_json: bool
) -> int:
    """Upgrade the systems of the hosts: show every package with its old and new version, ask, and
    upgrade, in the waves of `fleet apply`: orchestrator, canaries, the rest, and no further than
    where a host is not well afterwards.

    By apt, pacman and MacPorts; Homebrew is its person's. What follows from new packages, such as a
    compiler that differs, is for the `fleet apply` after it. Hosts that should be rebooted are
    pending, and are rebooted by nobody. Pinned downloads are taken by `fleet pin`.

    Exit code: 0 done or nothing to do, 1 a host failed, 2 reboots are pending, 3 hosts are off that
    may be, 4 another run has the fleet or a host, 130 interrupted.
    """
    if not system:
        fix = "say --os; pinned downloads are taken by `fleet pin NAME VERSION`"
        raise WrongUsageError.of("fleet upgrade", "what is to be upgraded?", fix)
    if as_json and not yes:
        raise WrongUsageError.of("fleet upgrade", "--json asks nobody", "say --yes")
    target, watcher, began = session.target(), Watcher(quiet=as_json), time.monotonic()
    run, runner = runner_for(target, "upgrade --os", deploy=DEPLOY)
    with FleetLock(target, run, watcher.say, wait=wait) as lock:
        plan = plan_of(target, runner, limits, watcher, run)
        if not as_json:
            show_plan(console(), plan, diffs=False)
        if not agreed(plan, yes=yes, command="fleet upgrade"):
            return Exit.INTERRUPTED
        done = carry_out(session, runner, plan, watcher, lock, "upgrading")
        done = _with_reboots(session, runner, done, watcher, run)
    note_run(target, run, done, began)
    if as_json:
        print_json({**plan_as_dict(plan), "exit": int(done.exit)})
    elif plan.named(Standing.CHANGES):
        show_results(console(), done)
    return done.exit


def _with_reboots(
    session: Session, runner: Runner, done: Applied, watcher: Watcher, run: Run
) -> Applied:
    """Ask the hosts that were upgraded once more: a new kernel runs after a reboot only."""
    names = done.changed
    if not names or done.stopped:
        return done
    again = plan_of(session.target(), runner, names, watcher, run)
    for host in again.hosts:
        done.add_pending(host.host, host.pending)
    return done
