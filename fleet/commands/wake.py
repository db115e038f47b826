"""`fleet wake`: switch a host on from afar."""

from __future__ import annotations

import click

from fleet import complete, reach
from fleet import wake as waking
from fleet.commands.session import Session, examples, json_option, pass_session, print_json
from fleet.progress import waiting
from fleet.settings import settings_for

STILL_OFF = 3
TIMEOUT_S = 180  # a desktop with Windows that begins from nothing takes two minutes


@click.command(
    epilog=examples(
        "fleet wake win",
        "fleet wake win && fleet ssh win",
    )
)
@click.argument("host", shell_complete=complete.hosts)
@click.option("--wait/--no-wait", "waits", default=True, help="Whether to wait until it is awake.")
@click.option(
    "--timeout",
    type=click.IntRange(min=1),
    default=TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait.",
)
@json_option
@pass_session
def wake(session: Session, host: str, waits: bool, timeout: int, as_json: bool) -> int:
    """Wake a host that is off or asleep, and wait until SSH answers there.

    A host of the same site that is always on sends the Wake-on-LAN packet. The network card that
    it names is learned by runs while the host is on (fleet.lock.yaml), or stated as
    `addresses.mac`. The machine itself must be set up to obey: in its firmware, in Windows at its
    network adapter, on a Mac by "Wake for network access". A Raspberry Pi cannot.

    Exit code: 0 it is awake (with --no-wait: the packet was sent); 1 error; 3 it is off still.
    """
    target = session.target()
    sleeper = target.fleet.host(host)
    by, awake = "", reach.answers(sleeper, target)
    if not awake:
        with waiting(f"looking for a neighbour of {host}", bar=False):
            by = waking.send(target, sleeper)
        if not as_json:
            click.echo(f"{host}: {by} has sent the packet", err=True)
        if waits:
            with waiting(f"waiting for {host}, {timeout} s at most", bar=not as_json):
                awake = waking.wait(target, sleeper, timeout)
    if as_json:
        print_json({"host": host, "sent_by": by or None, "awake": awake})
    elif awake:
        click.echo(f"{host}: awake{'' if by else ' already'}")
    elif waits:
        click.echo(f"{host}: does not answer after {timeout} s", err=True)
        if not settings_for(sleeper.role).sees_network_card:
            words = "Windows may be awake: its WSL starts when somebody logs in or a task says so"
            click.echo(f"    {words}", err=True)
    return 0 if awake or not waits else STILL_OFF
