"""`fleet history`: what runs have done, and whose they were."""

from __future__ import annotations

from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from fleet import complete
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.history import Line, path_of, runs
from fleet.hostnotes import history_of
from fleet.problems import FleetError, printable, show

SHOWN = 20  # runs


@click.command(
    epilog=examples(
        "fleet history",
        "fleet history --host berry             what was done there, from wherever",
        "fleet history 20260131T2010           one run, change by change",
    )
)
@click.argument("run", metavar="[RUN]", required=False)
@click.option(
    "--host",
    metavar="HOST",
    shell_complete=complete.hosts,
    help="As the host itself tells it: everybody's runs there.",
)
@click.option("-n", "count", default=SHOWN, show_default=True, help="How many runs, the latest.")
@json_option
@pass_session
def history(session: Session, run: str | None, host: str | None, count: int, as_json: bool) -> int:
    """Show the runs of this workstation, or everybody's runs on a host, the latest last. With the
    beginning of a RUN's name: all that it changed.

    Exit code: 0, or 1 when there is no such run or the host cannot be asked.
    """
    target = session.target()
    lines = history_of(target, target.fleet.host(host).name) if host else runs(target)
    if run:
        lines = tuple(line for line in lines if str(line.get("run", "")).startswith(run))
        if not lines:
            fix = "see: fleet history" + (f" --host {host}" if host else "")
            raise FleetError.of("fleet history", f"no run begins with {show(run)}", fix)
    lines = lines[-max(count, 1) :]
    if as_json:
        print_json(lines)
    elif run:
        for line in lines:
            _show_one(line)
    elif lines:
        _show(lines)
    else:
        click.echo(f"no run is noted {f'on {host}' if host else f'in {path_of(target)}'}")
    return 0


def _show(lines: tuple[Line, ...]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("RUN", "WHO", "COMMIT", "WHAT", "CHANGES", "OUTCOME"):
        table.add_column(
            column, overflow="fold", justify="right" if column == "CHANGES" else "left"
        )
    for line in lines:
        table.add_row(
            *(_plain(line.get(key)) for key in ("run", "who")),
            _commit(line),
            _plain(line.get("reason")),
            str(sum(len(changes) for changes in _changes(line).values())),
            _outcome(line),
        )
    console().print(table)


def _show_one(line: Line) -> None:
    out = console()
    for key in ("run", "who", "began", "reason", "commit", "dirty", "seconds"):
        if line.get(key) not in (None, ""):
            out.print(f"[bold]{key:8}[/] {_plain(line[key])}")
    out.print(f"[bold]{'outcome':8}[/] {_outcome(line)}")
    for host, changes in _changes(line).items():
        out.print(f"[bold]{_plain(host)}[/]" if host else "")
        for change in changes:
            out.print(f"  {_plain(change)}", soft_wrap=True)


def _changes(line: Line) -> dict[str, list[Any]]:
    """Host → what was changed there; a host's own history is of that host alone."""
    hosts = line.get("hosts")
    if not isinstance(hosts, dict):
        return {"": _list(line.get("changes"))}
    found = {name: _list(host.get("changes")) for name, host in hosts.items() if _is_dict(host)}
    return {name: changes for name, changes in found.items() if changes}


def _outcome(line: Line) -> str:
    hosts = line.get("hosts")
    if not isinstance(hosts, dict):
        fault = str(line.get("fault") or "")
        return _plain(f"{line.get('outcome', '')}{f': {fault}' if fault else ''}")
    bad = [
        f"{name} {host.get('outcome')}"
        for name, host in hosts.items()
        if _is_dict(host) and host.get("outcome") not in ("clean", "changed")
    ]
    return _plain(", ".join(bad) or "done")


def _commit(line: Line) -> str:
    return _plain(f"{str(line.get('commit') or '')[:9]}{'+' if line.get('dirty') else ''}")


def _list(said: object) -> list[Any]:
    return said if isinstance(said, list) else []


def _is_dict(said: object) -> bool:
    return isinstance(said, dict)


def _plain(text: object) -> str:
    return escape(printable(str(text if text is not None else "")))
