"""`fleet logs`: what a daemon on a host says."""

from __future__ import annotations

import codecs

import click

from fleet import complete
from fleet.commands.session import Session, examples, pass_session
from fleet.logs import Wish, log_script
from fleet.plan import view_of
from fleet.problems import FleetError
from fleet.ssh import route, stream, unreached
from fleet.terminal import harmless
from fleet.units import find

LINES = 100


@click.command(
    epilog=examples(
        "fleet logs berry iceccd -f",
        "fleet logs boss gateway --since '1 hour ago'",
        "fleet logs mac agentapi -n 500 | grep -i error",
    )
)
@click.argument("host", shell_complete=complete.hosts)
@click.argument("unit", shell_complete=complete.units)
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    help=f"How many of the last lines; default: {LINES}, with --since all.",
)
@click.option(
    "--since",
    default="",
    metavar="TIME",
    help="No older than this, in systemd's words: '10 min ago', 'yesterday', '2026-11-27 08:00'. "
    "Not on Macs, whose logs have no times.",
)
@pass_session
def logs(
    session: Session, host: str, unit: str, follow: bool, lines: int | None, since: str
) -> int:
    """Print the log of a service of the fleet, as `fleet status` calls it, on a host.

    What terminals obey (colours, control characters) is left out.

    Exit code: 0 printed, 1 error, 3 the host is off and may be, 130 interrupted.
    """
    target = session.target()
    view = view_of(target, host)
    service = find(target, host, unit)
    if lines is None and not since:
        lines = LINES
    script = log_script(view, service, Wish(lines, since, follow))
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    heard = False

    def hear(piece: bytes) -> None:
        nonlocal heard
        heard = True
        click.echo(harmless(decoder.decode(piece)), nl=False)

    answer = stream(route(view.host, target), script, hear)
    if not answer.reached:
        raise unreached(view.host, answer)
    if answer.code:
        fault = answer.stderr or f"its log cannot be read: exit code {answer.code}"
        raise FleetError.of(host, fault, "")
    if not heard:
        click.echo(f"{host}: {unit} has logged nothing{' since then' if since else ''}", err=True)
    return 0
