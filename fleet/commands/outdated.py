"""`fleet outdated`: what is newer than what is pinned, and what hosts have not upgraded."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.markup import escape
from rich.table import Table

from fleet import upgrades, upstream
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.problems import WrongUsageError
from fleet.progress import waiting
from fleet.upgrades import Pending, State
from fleet.upstream import Row

ERROR, CHANGES = 1, 2  # exit codes; CHANGES: something is outdated
SHOWN = 8  # upgrades of a host; --json has all


@click.command(
    epilog=examples(
        "fleet outdated",
        "fleet outdated --pins             the downloads alone; asks no host",
        "fleet outdated --hosts --refresh  the hosts alone, with fresh lists",
    )
)
@click.option("--pins", "pins_only", is_flag=True, help="Only what artifacts.lock.yaml pins.")
@click.option("--hosts", "hosts_only", is_flag=True, help="Only what hosts have pending.")
@click.option("--refresh", is_flag=True, help="Have the hosts fetch their package lists first.")
@json_option
@pass_session
def outdated(
    session: Session, pins_only: bool, hosts_only: bool, refresh: bool, as_json: bool
) -> int:
    """Show what is newer: than the pinned downloads, and than the packages on the hosts.

    Upgrades nothing. The sources of the pins are asked, as `fleet pin` does, and the command that
    takes a new version is shown. The hosts are asked for pending upgrades and whether they want to
    be started anew, by the package lists that they have; --refresh has them fetch new ones.

    Exit code: 0 nothing is outdated, 2 something is, 1 a source or a host could not be asked.
    """
    if pins_only and hosts_only:
        fault = "each leaves the other out"
        raise WrongUsageError.of("--pins --hosts", fault, "say neither to have both")
    if refresh and pins_only:
        fault = "only hosts have package lists"
        raise WrongUsageError.of("--refresh", fault, "leave out --pins")
    target = session.target()
    rows: tuple[Row, ...] = ()
    hosts: tuple[Pending, ...] = ()
    if not hosts_only:
        with waiting("asking the sources of the pins", bar=False):
            rows = upstream.rows(target.artifacts)
    if not pins_only:
        with waiting("asking the hosts", bar=False):
            hosts = upgrades.pending(target, refresh=refresh)
    if as_json:
        print_json({"pins": [_pin(row) for row in rows], "hosts": [asdict(one) for one in hosts]})
    else:
        _show(rows, hosts)
    return _exit_code(rows, hosts)


def _exit_code(rows: tuple[Row, ...], hosts: tuple[Pending, ...]) -> int:
    if any(row.error for row in rows) or any(one.state is State.ERROR for one in hosts):
        return ERROR
    behind = any(row.outdated for row in rows) or any(one.outdated for one in hosts)
    return CHANGES if behind else 0


def _pin(row: Row) -> dict[str, object]:
    return {**asdict(row), "command": row.command, "outdated": row.outdated}


def _show(rows: tuple[Row, ...], hosts: tuple[Pending, ...]) -> None:
    out = console()
    if rows:
        out.print(_pins(rows))
        for row in rows:
            for words in filter(None, (row.error, row.note)):
                out.print(f"  {row.name} at {row.origin}: {words}", markup=False)
    if rows and hosts:
        out.print()
    if hosts:
        out.print(_hosts(hosts))
        for one in hosts:
            for words in upgrades.lines(one, SHOWN):
                out.print(f"  {one.host}: {words}", markup=False)


def _pins(rows: tuple[Row, ...]) -> Table:
    table = _table("DOWNLOAD", "PINNED", "AGE", "AT", "NEWEST", "TAKE IT WITH")
    for row in rows:
        newest = escape(row.newest) or "?"
        age = "?" if row.days is None else f"{row.days} d"
        table.add_row(
            escape(row.name),
            escape(row.pinned),
            age,
            escape(row.origin),
            f"[yellow]{newest}[/]" if row.outdated else newest,
            escape(row.command),
        )
    return table


def _hosts(hosts: tuple[Pending, ...]) -> Table:
    table = _table("HOST", "PACKAGES", "UPGRADES", "LISTS OF", "REBOOT")
    for one in hosts:
        known = upgrades.summary(one)
        colour = "red" if one.state is State.ERROR else "yellow" if one.upgrades else ""
        table.add_row(
            one.host,
            escape(one.manager) or "-",
            f"[{colour}]{known}[/]" if colour else known,
            upgrades.days(one.age_s) if one.state is State.KNOWN else "-",
            "[yellow]yes[/]" if one.reboot else "-",
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
