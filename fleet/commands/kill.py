"""`fleet kill`: take agents' money away at once."""

from __future__ import annotations

import click

from fleet import complete, orchestrator
from fleet.commands.session import (
    Session,
    console,
    examples,
    json_option,
    names_or_all,
    pass_session,
    print_json,
)


@click.command(
    epilog=examples(
        "fleet kill berry",
        "fleet kill --all",
    )
)
@click.argument("hosts", nargs=-1, metavar="[HOST]...", shell_complete=complete.hosts)
@click.option("--all", "everywhere", is_flag=True, help="Every agent of the fleet.")
@json_option
@pass_session
def kill(session: Session, hosts: tuple[str, ...], everywhere: bool, as_json: bool) -> None:
    """Revoke the sessions of agents, at once: nothing more is paid, answers under way are cut off.

    The agent itself stays up and is told why it gets no answer. `fleet new-session` gives it a
    new one.
    """
    target = session.target()
    names = names_or_all(target, "fleet kill", hosts, everywhere=everywhere)
    found = orchestrator.ask(target, "kill", *(("--all",) if everywhere else names))
    if as_json:
        print_json(found)
        return
    out = console()
    for one in found["revoked"]:
        out.print(f"{one['host']}: session {one['session']} revoked", markup=False)
    if not found["revoked"]:
        out.print("there was no session to revoke")
