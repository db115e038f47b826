"""`fleet revoke`: take an operator's access away, everywhere."""

from __future__ import annotations

from dataclasses import asdict

import click

from fleet import complete
from fleet.commands.outcomes import confirm, exit_of, run_only, show_outcomes
from fleet.commands.session import Session, examples, json_option, pass_session, print_json
from fleet.commands.watching import Watcher
from fleet.difference import verify
from fleet.model import Operator
from fleet.revoke import keeps_keys, naming, operator, refuse_lockout, strike
from fleet.target import Target, fleet_file
from fleet.yamlfile import display


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
    what = f"{display(fleet_file())} and from {len(target.fleet.hosts)} hosts"
    confirm("fleet revoke", f"Remove {leaving.name} from {what}?", yes=yes)
    named = naming(target, name)
    strike(fleet_file(), name)
    only = frozenset(capability for files in named.values() for capability in files)
    done = run_only(session.target(), f"revoke {name}", only, tuple(named), Watcher(quiet=as_json))
    errors = {one.host: one.error for one in done.results.values()}
    found = verify(session.target(), named, errors, keeps_keys)
    left = steps(target, leaving)
    if as_json:
        print_json({"hosts": [asdict(one) for one in found], "by_hand": left})
    else:
        show_outcomes("OPERATOR", found, left)
    return exit_of(found)


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
