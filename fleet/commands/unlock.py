"""`fleet unlock`: take away locks that nobody will let go of."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from fleet import complete
from fleet.commands.session import Session, examples, json_option, pass_session, print_json
from fleet.exits import Exit
from fleet.hostnotes import Held, locks
from fleet.hostnotes import unlock as take
from fleet.limits import limited
from fleet.problems import WrongUsageError, printable
from operations.locks import ABANDONED_MIN, FLEET_LOCK


@click.command(
    help=f"""Take away the locks of runs on hosts and on the fleet: show whose they are, and ask.

    A run locks a host from its first change there until it ends, and a lock that nobody renews
    for {ABANDONED_MIN} minutes is nobody's: this is for a run that is dead, such as one of a
    workstation that was turned off. A run that is alive loses the host: it fails there at its next
    change.

    Exit code: 0 there is none any more, 1 a lock could not be taken away, 130 you said no.
    """,
    epilog=examples("fleet unlock", "fleet unlock berry --yes"),
)
@click.argument("hosts", metavar="[HOST]...", nargs=-1, shell_complete=complete.limits)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_session
def unlock(session: Session, hosts: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """Take away locks; the help is above."""
    target = session.target()
    held, unasked = locks(target, limited(target.fleet, hosts))
    for name, reason in unasked.items():
        click.echo(f"{name}: cannot be asked: {reason}", err=True)
    if not as_json:
        for one in held:
            click.echo(printable(f"{_what(one)}: {one.words}"))
        if not held:
            click.echo("nothing is locked")
    if held and not yes and not _agreed(len(held)):
        return Exit.INTERRUPTED
    faults = {one: fault for one in held if (fault := take(target, one))}
    for one, fault in faults.items():
        click.echo(f"{_what(one)}: the lock stays: {fault}", err=True)
    if as_json:
        print_json({"removed": [asdict(one) for one in held if one not in faults]})
    return Exit.ERROR if faults else Exit.DONE


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        fault = "nobody is there to confirm it"
        raise WrongUsageError.of("fleet unlock", fault, "say --yes")
    return click.confirm(f"Take away {count} {'lock' if count == 1 else 'locks'}?", err=True)


def _what(held: Held) -> str:
    return "the whole fleet" if held.lock == FLEET_LOCK else held.host
