"""`fleet ssh`: a shell on a host, by the way that runs take."""

from __future__ import annotations

import os
import sys

import click

from fleet import complete
from fleet.commands.session import Session, examples, pass_session
from fleet.hostkeys import not_pinned
from fleet.ssh import route


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=examples(
        "fleet ssh berry",
        "fleet ssh mac -- uptime",
        "fleet ssh berry -- 'df -h / && free -m'",
    ),
)
@click.argument("host", shell_complete=complete.hosts)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@pass_session
def ssh(session: Session, host: str, command: tuple[str, ...]) -> None:
    """Log in to a host, or run a command there, at the address, with the key and as the user that
    runs use; its pinned host key alone counts.

    Words of COMMAND are joined with spaces and read by a shell there, as ssh does it.

    Exit code: that of the command; 255 where the host is not reached.
    """
    target = session.target()
    way = route(target.fleet.host(host), target)
    terminal = sys.stdin.isatty()
    if way.known_hosts is None:
        click.echo(f"{not_pinned(host)}; until then your own known_hosts counts", err=True)
    command = command[1:] if command[:1] == ("--",) else command
    argv = way.command(*(["-t"] if terminal and command else []), asks=terminal)
    sys.stdout.flush()
    words = ["--", *command] if command else []
    os.execvp(argv[0], [*argv, *words])  # noqa: S606 - it becomes ssh, with terminal and exit code
