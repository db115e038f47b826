"""`fleet new-session`: an agent begins anew, with an empty home and its whole budget."""

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
from fleet.progress import waiting

ERROR = 1


@click.command(
    "new-session",
    epilog=examples(
        "fleet new-session berry",
        "fleet new-session --all",
    ),
)
@click.argument("hosts", nargs=-1, metavar="[HOST]...", shell_complete=complete.hosts)
@click.option("--all", "everywhere", is_flag=True, help="Every agent of the fleet.")
@json_option
@pass_session
def new_session(session: Session, hosts: tuple[str, ...], everywhere: bool, as_json: bool) -> int:
    """Begin a new session on agents: what they are at ends, and nothing of it is left for the next.

    The agent stops, what it had in its home is put away, its old token is revoked, and it starts
    with a new one and its whole cap. One host after the other.

    Exit code: 0 all have begun, 1 one has not: its old session goes on.
    """
    target = session.target()
    failed = {}
    names = names_or_all(target, "fleet new-session", hosts, everywhere=everywhere)
    for name in names:
        with waiting(f"{name}: a new session begins"):
            failed[name] = orchestrator.begin_session(target, name)
    if as_json:
        print_json({"hosts": [{"host": name, "fault": fault} for name, fault in failed.items()]})
    else:
        for name, fault in failed.items():
            console().print(f"{name}: {fault or 'begun'}", markup=False)
    return ERROR if any(failed.values()) else 0
