"""`fleet hosts`: the fleet as a table."""

from __future__ import annotations

import click
from rich.console import Console, JustifyMethod
from rich.table import Table

from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.model import Fleet, Host, Power

UNBOUNDED = 10_000  # columns; to measure what a table would like
_COLUMNS = ("HOST", "ROLE", "OS/ARCH", "POWER", "ADDRESSES", "SSH", "JOBS", "BUDGET")
_LEAST_WANTED = ("SSH", "OS/ARCH", "POWER")  # what a narrow terminal goes without, in this order
_POWER_STYLE = {Power.ALWAYS_ON: "green", Power.SLEEPS: "yellow", Power.ROAMS: "cyan"}


@click.command(
    epilog=examples(
        "fleet hosts",
        "fleet hosts --json | jq -r '.hosts[].name'",
    )
)
@json_option
@pass_session
def hosts(session: Session, as_json: bool) -> None:
    """Show the hosts: what each is for, where it answers, what it may do.

    Jobs are compile jobs at once, the budget is dollars an agent session. The host with a star
    runs the compile scheduler. A narrow terminal gets fewer columns, a pipe gets all.
    """
    fleet = session.target().fleet
    if as_json:
        print_json(fleet.model_dump(mode="json"))
    else:
        out = console()
        out.print(fitting_table(fleet, out))


def fitting_table(fleet: Fleet, out: Console) -> Table:
    """Return the hosts as a table that is no wider than the console, if leaving out can do it."""
    for left_out in range(len(_LEAST_WANTED) + 1):
        table = _table(fleet, frozenset(_LEAST_WANTED[:left_out]))
        unbounded = out.options.update(width=UNBOUNDED)
        if out.measure(table, options=unbounded).maximum <= out.width:
            break
    return table


def _table(fleet: Fleet, left_out: frozenset[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    shown = [name for name in _COLUMNS if name not in left_out]
    for name in shown:
        justify: JustifyMethod = "right" if name in ("JOBS", "BUDGET") else "left"
        table.add_column(name, justify=justify, overflow="fold")
    for host in fleet.hosts:
        cells = _cells(host, is_scheduler=host.name == fleet.scheduler)
        table.add_row(*[cells[name] for name in shown])
    return table


def _cells(host: Host, *, is_scheduler: bool) -> dict[str, str]:
    addresses = [address for address in (host.addresses.tailnet, host.addresses.lan) if address]
    style = _POWER_STYLE[host.power]
    return {
        "HOST": f"{host.name} *" if is_scheduler else host.name,
        "ROLE": host.role,
        "OS/ARCH": f"{host.os}/{host.arch}",
        "POWER": f"[{style}]{host.power}[/{style}]",
        "ADDRESSES": ", ".join(addresses) or host.name,
        "SSH": f"{host.ssh.user}:{host.ssh.port}",
        "JOBS": str(host.max_jobs),
        "BUDGET": f"${host.budget:g}",
    }
