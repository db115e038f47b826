"""`fleet revoke`: take an operator's access away, everywhere."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict

import click
from rich.table import Table

from fleet import complete
from fleet.apply import Applied, result_of
from fleet.commands.running import note_run, runner_for
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.commands.watching import Watcher
from fleet.model import Operator
from fleet.planned import gather
from fleet.problems import WrongUsageError
from fleet.revoke import HostOutcome, Outcome, naming, operator, refuse_lockout, strike, verify
from fleet.target import Target, fleet_file
from fleet.yamlfile import display

ERROR, OFF = 1, 3
_STYLE = {Outcome.REMOVED: "green", Outcome.PENDING: "cyan", Outcome.REMAIN: "red"}


@click.command(
    epilog=examples(
        "fleet revoke alice",
    )
)
@click.argument("name", shell_complete=complete.operators)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_session
def revoke(session: Session, name: str, yes: bool, as_json: bool) -> int:
    """Take the operator NAME out of fleet.yaml, and out of every file on a host that names them.

    Their SSH keys go everywhere, the orchestrator's page is shut to them, and new backups are no
    longer encrypted to them. Touches nothing else on the hosts. Each host is asked afterwards
    whether that is so; hosts that are off stay pending, and the next run that reaches them does
    it. Prints what is left to do by hand.

    Exit code: 0 gone everywhere, 1 not gone on a host, 3 hosts are off that may be.
    """
    target = session.target()
    leaving = operator(target.fleet, name)
    refuse_lockout(target, leaving)
    _ask(leaving, len(target.fleet.hosts), yes=yes)
    named = naming(target, name)
    strike(fleet_file(), name)
    only = frozenset(capability for files in named.values() for capability in files)
    done = _run(session.target(), f"revoke {name}", only, Watcher(quiet=as_json))
    found = verify(session.target(), named, {one.host: one.error for one in done.results.values()})
    left = steps(target, leaving)
    if as_json:
        print_json({"hosts": [asdict(one) for one in found], "by_hand": left})
    else:
        _show(found, left)
    outcomes = {one.outcome for one in found}
    return ERROR if Outcome.REMAIN in outcomes else OFF if Outcome.PENDING in outcomes else 0


def _ask(leaving: Operator, hosts: int, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        fault = "nobody is there to confirm it"
        raise WrongUsageError.of("fleet revoke", fault, "say --yes")
    what = f"Remove {leaving.name} from {display(fleet_file())} and from {hosts} hosts?"
    click.confirm(what, abort=True, err=True)


def _run(target: Target, reason: str, only: frozenset[str], watcher: Watcher) -> Applied:
    """Run these capabilities alone, on all hosts at once."""
    began = time.monotonic()
    run, runner = runner_for(target, reason, only)
    names = [host.name for host in target.fleet.hosts]
    with watcher.over("changing what names them"):
        outcome = runner.change(names, watcher.heard)
    hosts = gather(target, names, outcome.events, "apply")
    done = Applied({one.host: result_of(one, stopped=outcome.stopped) for one in hosts})
    done.stopped = outcome.stopped
    note_run(target, run, done, began)
    return done


def steps(target: Target, leaving: Operator) -> list[str]:
    """What no run can do."""
    login = leaving.login or f"{leaving.name}'s login"
    secrets = ", ".join(sorted(target.fleet.secrets)) or "the fleet's secrets"
    return [
        f"remove {login} from the tailnet in its admin console, with their devices",
        "put the new policy there: fleet policy",
        f"make new ones of what {leaving.name} may have read ({secrets}), and run again",
        "end sessions that are still open: a reboot of a host ends all of them",
        f"commit {display(fleet_file())}",
    ]


def _show(found: tuple[HostOutcome, ...], left: list[str]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("HOST", "OPERATOR", "WHY"):
        table.add_column(column, overflow="fold")
    for one in found:
        table.add_row(one.host, f"[{_STYLE[one.outcome]}]{one.outcome}[/]", one.reason)
    out = console()
    out.print(table)
    out.print("\nLeft to do by hand:")
    for step in left:
        out.print(f"- {step}", markup=False)
