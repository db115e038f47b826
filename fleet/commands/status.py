"""`fleet status`: every host, what runs there, and whether it is as fleet.yaml says."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NoReturn

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fleet.cluster import Node, nodes
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.exits import Exit, worst
from fleet.problems import WrongUsageError, printable
from fleet.status import State, Status, statuses
from fleet.target import Target

_STYLE = {
    State.CONVERGED: "green",
    State.CHANGES: "yellow",
    State.OFF: "cyan",
    State.ERROR: "red",
}
_EXITS = {
    State.CONVERGED: Exit.DONE,
    State.CHANGES: Exit.CHANGES,
    State.OFF: Exit.OFF,
    State.ERROR: Exit.ERROR,
}
EVERY_S = 10.0


@dataclass(frozen=True)
class _Seen:
    """How everything was at one moment; `fault` says why the scheduler does not answer."""

    hosts: tuple[Status, ...]
    cluster: tuple[Node, ...]
    fault: str

    @property
    def exit(self) -> Exit:
        """The exit code that says it."""
        found = {_EXITS[one.state] for one in self.hosts}
        return worst(found | ({Exit.ERROR} if self.fault else set()))


@click.command(
    epilog=examples(
        "fleet status",
        "fleet status --watch",
        "fleet status --json | jq -r '.hosts[] | select(.state != \"converged\").host'",
    )
)
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option(
    "--every",
    metavar="SECONDS",
    type=click.FloatRange(min=1),
    default=EVERY_S,
    show_default=True,
    help="With --watch: how long to wait between two looks.",
)
@json_option
@pass_session
def status(session: Session, watch: bool, every: float, as_json: bool) -> int:
    """Look at every host and show what runs there, and what differs from fleet.yaml. Changes
    nothing.

    Exit code: 0 everything is as fleet.yaml says, 1 a host or the scheduler is in error, 2 changes
    are pending, 3 hosts are off that may be.
    """
    if watch and as_json:
        raise WrongUsageError.of("fleet status", "--watch is for people", "leave out --json")
    if watch:
        _watch(session, every)
    seen = _look(session.target())
    if as_json:
        print_json(
            {
                "hosts": [asdict(one) for one in seen.hosts],
                "cluster": [asdict(node) for node in seen.cluster],
                "cluster_error": seen.fault,
            }
        )
    else:
        console().print(_screen(session.target(), seen))
    return seen.exit


def _watch(session: Session, every_s: float) -> NoReturn:
    """Draw until the user interrupts; on what is no terminal a screen follows the other."""
    out = console()
    with Live(Text("looking …"), console=out, screen=out.is_terminal, auto_refresh=False) as live:
        while True:
            target = session.target()
            seen = _look(target)
            moment = Text(f"{datetime.now():%H:%M:%S}, every {every_s:g} s; Ctrl-C ends", "dim")
            live.update(Group(_screen(target, seen), moment), refresh=True)
            time.sleep(every_s)


def _look(target: Target) -> _Seen:
    return _Seen(statuses(target), *_cluster(target))


def _cluster(target: Target) -> tuple[tuple[Node, ...], str]:
    try:
        return nodes(target), ""
    except ConnectionError as error:
        return (), str(error)


def _screen(target: Target, seen: _Seen) -> Group:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("HOST", "ROLE", "SYSTEM", "STATE", "SERVICES", "CLUSTER"):
        table.add_column(column, overflow="fold")
    by_name = {node.name: node for node in seen.cluster}
    for one in seen.hosts:
        role = target.fleet.host(one.host).role.value
        state = f"[{_STYLE[one.state]}]{one.state}[/]"
        table.add_row(
            one.host, role, one.system, state, _services(one), _node(by_name.get(one.host))
        )
    lines = [
        f"  {one.host}: {line}"
        for one in seen.hosts
        for line in (*one.differences, *([one.error] if one.error else []), *one.remarks)
    ]
    lines += [f"  compile cluster: {seen.fault}"] if seen.fault else []
    return Group(table, *(Text(printable(line)) for line in lines))


def _services(one: Status) -> str:
    return ", ".join(
        (
            *(name if runs else f"[red]{name} (down)[/]" for name, runs in one.services.items()),
            *(f"[dim]{name} (off)[/]" for name in one.off),
        )
    )


def _node(node: Node | None) -> str:
    if node is None:
        return "-"
    takes = f"takes {node.max_jobs} jobs" if node.port else "sends jobs"
    return f"{takes} [{node.platform}]".replace("[", r"\[")
