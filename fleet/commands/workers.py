"""`fleet workers`: who compiles for the fleet, who is kept from it and why; lets a worker back."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from fleet import cluster, complete, orchestrator
from fleet.cluster import Node
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.model import Fleet
from fleet.problems import FleetError, WrongUsageError
from fleet.target import Target

ERROR, CHANGES = 1, 2  # exit codes; CHANGES: somebody is blocked


@dataclass(frozen=True)
class Worker:
    """A worker: `node` as the scheduler lists it, `blocked` as the quarantine does.

    `stranger` says what does not fit: a daemon calls itself what it likes.
    """

    name: str
    node: Node | None = None
    blocked: dict[str, Any] | None = None
    stranger: str = ""


@click.command(
    epilog=examples(
        "fleet workers                        who compiles, who is blocked",
        "fleet workers --unblock berry        shows why it is blocked, asks, lets it in again",
    )
)
@click.option(
    "--unblock",
    metavar="HOST",
    shell_complete=complete.hosts,
    help="Let HOST compile for others again.",
)
@click.option("--yes", is_flag=True, help="With --unblock: do not ask.")
@json_option
@pass_session
def workers(session: Session, unblock: str | None, yes: bool, as_json: bool) -> int:
    """Show the compile cluster's workers, and those that are blocked, with the reason.

    A worker is blocked for everybody when a host reports that it returned an object that differs
    from the local one. It stays so until somebody who knows why lets it in again; meanwhile that
    host compiles its own jobs itself.

    Exit code: 0 nobody is blocked, or HOST was let in; 2 a worker is blocked; 1 the scheduler or
    the quarantine does not answer, or HOST is not blocked.
    """
    target = session.target()
    if unblock is not None:
        return _unblock(target, unblock, yes=yes, as_json=as_json)
    if yes:
        raise WrongUsageError.of("--yes", "there is nothing to confirm", "say it with --unblock")
    found, faults = look(target)
    if as_json:
        print_json({"workers": [asdict(one) for one in found], "faults": faults})
    else:
        _show(found, faults)
    if faults:
        return ERROR
    return CHANGES if any(one.blocked for one in found) else 0


def look(target: Target) -> tuple[tuple[Worker, ...], list[str]]:
    """The workers by name, and what could not be learned: either list may be had alone."""
    faults: list[str] = []
    nodes: tuple[Node, ...] = ()
    kept_out: tuple[dict[str, Any], ...] = ()
    try:
        nodes = cluster.nodes(target)
    except ConnectionError as error:
        faults.append(str(error))
    try:
        kept_out = orchestrator.blocked(target)
    except FleetError as error:
        faults.append(str(error))
    by_name = {one["worker"]: one for one in kept_out}
    found = [
        Worker(node.name, node, by_name.get(node.name), stranger(target.fleet, node))
        for node in nodes
        if node.port
    ]
    here = {one.name for one in found}
    found += [Worker(name, None, one) for name, one in by_name.items() if name not in here]
    return tuple(sorted(found, key=lambda one: one.name)), faults


def stranger(fleet: Fleet, node: Node) -> str:
    """Why a node is not the host of the fleet that it says it is; empty when it is."""
    host = next((one for one in fleet.hosts if one.name == node.name), None)
    if host is None:
        return "is not in fleet.yaml"
    return "" if node.address == host.addresses.tailnet else f"is not at {node.address}"


def reason(blocked: dict[str, Any]) -> str:
    """Why somebody is blocked, in one line."""
    first = blocked["reports"][0]
    more = blocked["count"] - 1
    parts = (
        f"{first['by']} reported a wrong object on {first['at']}",
        " ".join(word for word in (first["compiler"], first["source"]) if word),
        first["detail"],
        f"{more} more {'report' if more == 1 else 'reports'}" if more else "",
        "" if blocked["taken"] else "the scheduler has not taken it yet",
    )
    return "; ".join(part for part in parts if part)


def _show(found: tuple[Worker, ...], faults: list[str]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("HOST", "ADDRESS", "PLATFORM", "JOBS", "STATE", "WHY"):
        table.add_column(column, overflow="fold")
    for one in found:
        node = one.node
        table.add_row(
            _plain(one.name),
            _plain(node.address) if node else "-",
            _plain(node.platform) if node else "-",
            f"{node.jobs}/{node.max_jobs}" if node else "-",
            _state(one),
            _plain(_why(one)),
        )
    out = console()
    out.print(table)
    for fault in faults:
        out.print(f"  {fault}", markup=False)


def _state(one: Worker) -> str:
    if one.blocked:
        return "[red]blocked[/]"
    return "[yellow]stranger[/]" if one.stranger else "takes jobs"


def _why(one: Worker) -> str:
    said = (one.stranger, reason(one.blocked) if one.blocked else "")
    return "; ".join(word for word in said if word)


def _plain(text: str) -> str:
    """Foreign text, with nothing in it that the table or a terminal would obey."""
    return escape("".join(one if one.isprintable() else "?" for one in text))


def _unblock(target: Target, host: str, *, yes: bool, as_json: bool) -> int:
    if not yes:
        _ask(target, host)
    done = orchestrator.ask(target, "unblock", host)
    if as_json:
        print_json(done)
    elif done["taken"]:
        console().print(f"{host}: may compile for others again", markup=False)
    else:
        why = done["fault"] or "the scheduler has not answered yet"
        console().print(
            f"{host}: may as soon as the scheduler has heard of it ({why})", markup=False
        )
    return 0


def _ask(target: Target, host: str) -> None:
    """Show what it is blocked for, and ask."""
    if not sys.stdin.isatty():
        fault = "nobody is there to confirm it"
        raise WrongUsageError.of("fleet workers --unblock", fault, "say --yes")
    for one in orchestrator.blocked(target):
        if one["worker"] == host:
            click.echo(f"{host}: {reason(one)}", err=True)
            click.confirm(f"Let {host} compile for others again?", abort=True, err=True)
