"""`fleet hosts`: the fleet as a table."""

from __future__ import annotations

import click
from rich.table import Table

from fleet.commands.session import Session, console, json_option, pass_session, print_json
from fleet.model import Fleet, Host, Power

_POWER_STYLE = {Power.ALWAYS_ON: "green", Power.SLEEPS: "yellow", Power.ROAMS: "cyan"}


@click.command()
@json_option
@pass_session
def hosts(session: Session, as_json: bool) -> None:
    """Show the hosts: what each is for, where it answers, what it may do.

    Jobs are compile jobs at once, the budget is dollars an agent session. The host with a star
    runs the compile scheduler.
    """
    fleet = session.target().fleet
    if as_json:
        print_json(fleet.model_dump(mode="json"))
    else:
        console().print(_table(fleet))


def _table(fleet: Fleet) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("HOST", "ROLE", "OS/ARCH", "POWER", "ADDRESSES", "SSH"):
        table.add_column(column, overflow="fold")
    table.add_column("JOBS", justify="right")
    table.add_column("BUDGET", justify="right")
    for host in fleet.hosts:
        table.add_row(*_row(host, is_scheduler=host.name == fleet.scheduler))
    return table


def _row(host: Host, *, is_scheduler: bool) -> tuple[str, ...]:
    addresses = [address for address in (host.addresses.tailnet, host.addresses.lan) if address]
    style = _POWER_STYLE[host.power]
    return (
        f"{host.name} *" if is_scheduler else host.name,
        host.role,
        f"{host.os}/{host.arch}",
        f"[{style}]{host.power}[/{style}]",
        ", ".join(addresses) or host.name,
        f"{host.ssh.user}:{host.ssh.port}",
        str(host.max_jobs),
        f"${host.budget:g}",
    )
