"""`fleet restart`: one daemon on one host, unless somebody is at work in it."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from fleet import complete
from fleet.commands.session import Session, examples, json_option, pass_session, print_json
from fleet.exits import Exit
from fleet.plan import view_of
from fleet.problems import WrongUsageError
from fleet.progress import waiting
from fleet.restart import Outcome, at_stake, refuse_what_does_not_run
from fleet.restart import restart as restarted
from fleet.units import find, short_name

CODES = {Outcome.RESTARTED: 0, Outcome.FAILED: 1, Outcome.BUSY: 2}


@click.command(
    epilog=examples(
        "fleet restart berry iceccd",
        "fleet restart berry agentapi --now --yes  its conversation is lost",
    )
)
@click.argument("host", shell_complete=complete.hosts)
@click.argument("unit", shell_complete=complete.units)
@click.option("--now", is_flag=True, help="Even while an agent is at work: what it does is lost.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_session
def restart(session: Session, host: str, unit: str, now: bool, yes: bool, as_json: bool) -> int:
    """Restart a service of the fleet, as `fleet status` calls it, and see that it stays up.

    An agent that is at work is left alone, as runs do, and so is the firewall (`wall`) that it
    stands behind. Where the service does not stay up its last words are printed.

    Exit code: 0 it runs anew; 1 error, or it does not stay up; 2 somebody is at work there; 3 the
    host is off and may be; 130 you said no.
    """
    target = session.target()
    view = view_of(target, host)
    service = find(target, host, unit)
    refuse_what_does_not_run(view, service)
    name = short_name(service.name)
    lost = ", whatever its agent is doing" if now and at_stake(view, service) else ""
    if not yes:
        if not sys.stdin.isatty():
            raise WrongUsageError.of("fleet restart", "nobody is there to be asked", "say --yes")
        if not click.confirm(f"Restart {name} on {host}{lost}?", err=True):
            return Exit.INTERRUPTED
    with waiting(f"restarting {name} on {host}", bar=not as_json):
        found = restarted(target, view, service, now=now)
    if as_json:
        print_json(asdict(found))
    elif found.outcome is Outcome.RESTARTED:
        click.echo(f"{host}: {name} runs anew")
    elif found.outcome is Outcome.BUSY:
        click.echo(f"{host}: {found.said}: not restarted; --now does not wait", err=True)
    else:
        click.echo(found.said, err=True)
        click.echo(f"{host}: {name} does not run", err=True)
    return CODES[found.outcome]
