"""`fleet status`: every host, what runs there, and whether it is as fleet.yaml says."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.table import Table

from fleet.cluster import Node, nodes
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.status import State, Status, statuses
from fleet.target import Target

_STYLE = {
    State.CONVERGED: "green",
    State.CHANGES: "yellow",
    State.OFF: "cyan",
    State.ERROR: "red",
}
ERROR, CHANGES, OFF = 1, 2, 3  # exit codes; the smaller one wins


@click.command(
    epilog=examples(
        "fleet status",
        "fleet status --json | jq -r '.hosts[] | select(.state != \"converged\").host'",
    )
)
@json_option
@pass_session
def status(session: Session, as_json: bool) -> int:
    """Look at every host and show what runs there. Changes nothing.

    Exit code: 0 everything is as fleet.yaml says, 1 a host or the scheduler is in error, 2 changes
    are pending, 3 hosts are off that may be.
    """
    target = session.target()
    found = statuses(target)
    cluster, fault = _cluster(target)
    if as_json:
        print_json(
            {
                "hosts": [asdict(one) for one in found],
                "cluster": [asdict(node) for node in cluster],
                "cluster_error": fault,
            }
        )
    else:
        _show(target, found, cluster, fault)
    states = {one.state for one in found}
    if State.ERROR in states or fault:
        return ERROR
    return CHANGES if State.CHANGES in states else OFF if State.OFF in states else 0


def _cluster(target: Target) -> tuple[tuple[Node, ...], str]:
    try:
        return nodes(target), ""
    except ConnectionError as error:
        return (), str(error)


def _show(target: Target, found: tuple[Status, ...], cluster: tuple[Node, ...], fault: str) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("HOST", "ROLE", "SYSTEM", "STATE", "SERVICES", "CLUSTER"):
        table.add_column(column, overflow="fold")
    by_name = {node.name: node for node in cluster}
    for one in found:
        role = target.fleet.host(one.host).role.value
        state = f"[{_STYLE[one.state]}]{one.state}[/]"
        table.add_row(
            one.host, role, one.system, state, _services(one), _node(by_name.get(one.host))
        )
    out = console()
    out.print(table)
    for one in found:
        for line in (*one.differences, *([one.error] if one.error else []), *one.remarks):
            out.print(f"  {one.host}: {line}", markup=False)
    if fault:
        out.print(f"  compile cluster: {fault}", markup=False)


def _services(one: Status) -> str:
    return ", ".join(
        name if running else f"[red]{name} (down)[/]" for name, running in one.services.items()
    )


def _node(node: Node | None) -> str:
    if node is None:
        return "-"
    takes = f"takes {node.max_jobs} jobs" if node.port else "sends jobs"
    return f"{takes} [{node.platform}]".replace("[", r"\[")
