"""`fleet drift`: whether every host is still as fleet.yaml says, for cron and CI."""

from __future__ import annotations

import click

from fleet.commands.planview import show_plan
from fleet.commands.running import limit_option, plan_as_dict, plan_of, runner_for
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.commands.watching import Watcher
from fleet.planned import Standing


@click.command(epilog=examples("fleet drift", "fleet drift || mail -s 'the fleet has drifted' me"))
@limit_option
@click.option("--diff", is_flag=True, help="Print the lines that differ, too.")
@json_option
@pass_session
def drift(session: Session, limits: tuple[str, ...], diff: bool, as_json: bool) -> int:
    """Say what on the hosts is no longer as fleet.yaml says: files, packages, accounts, and what
    runs (a service that was stopped is drift). Says nothing where nothing is; changes nothing.

    It is the plan of `fleet apply`, by the same code, so a run would mend just that.

    Exit code: 0 none, 1 a host is in error or down, 2 there is drift, 3 hosts are off that may be.
    """
    target = session.target()
    run, runner = runner_for(target, "drift")
    found = plan_of(target, runner, limits, Watcher(quiet=True), run)
    if as_json:
        print_json(plan_as_dict(found))
    elif found.exit and found.named(*(one for one in Standing if one is not Standing.CLEAN)):
        show_plan(console(), found, diffs=diff, said=False)
    return found.exit
