"""`fleet compile-check`: proves that every client may use every worker, by compiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.markup import escape
from rich.table import Table

from fleet import complete
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.commands.workers import look, reason
from fleet.compilecheck import Cell, Check, Cluster, Found, Memory, State
from fleet.compileplan import clients
from fleet.problems import FleetError
from fleet.target import Target

ERROR, OFF = 1, 3  # exit codes; the smaller one wins
_STYLE = {
    State.GREEN: "green",
    State.UNCHANGED: "green",
    State.OFF: "cyan",
    State.BLOCKED: "red",
    State.FAILED: "red",
}


@click.command(
    "compile-check",
    epilog=examples(
        "fleet compile-check                  everything",
        "fleet compile-check --host berry     from one client",
        "fleet compile-check --pairs changed  what is not as it was when it was last green",
    ),
)
@click.option(
    "--host",
    "hosts",
    metavar="HOST",
    multiple=True,
    shell_complete=complete.hosts,
    help="Only this client; repeatable.",
)
@click.option(
    "--pairs",
    "which",
    type=click.Choice(["all", "changed"]),
    default="all",
    help="changed: leave out what was green and is as it was then.",
)
@json_option
@pass_session
def compile_check(session: Session, hosts: tuple[str, ...], which: str, as_json: bool) -> int:
    """Prove the compile cluster: from each client, compile on each worker that it may use.

    Each client compiles a C and a C++ file with clang, and with gcc on workers of its own
    architecture, forced to one worker after the other. Green is what icecc's log says was compiled
    there, for the client's architecture, into the very bytes that come out at home, where they are
    linked, run, and print what they should. What icecc silently compiled at home has failed.

    It runs as the login user and leaves nothing on the hosts. A Mac without the fleet's clang
    compiles at home: that is said and is no hole. Whatever else a client cannot do is one.

    Exit code: 0 everything is green, 1 there is a hole, or something that should be on does not
    answer, 3 all that is missing is hosts that may be off.
    """
    target = session.target()
    chosen = _chosen(target, hosts)
    cluster, faults = _cluster(target)
    memory = Memory.of(target)
    known = memory.read() if which == "changed" else {}
    found = Check(target, cluster, chosen, known).run() if cluster else Found((), (), ())
    memory.learn(target, found.cells)
    if as_json:
        print_json(_as_dict(found, faults))
    else:
        _show(found, faults)
    if faults or found.holes:
        return ERROR
    return OFF if found.sleepers else 0


def _chosen(target: Target, hosts: Sequence[str]) -> tuple[str, ...]:
    """The clients that the command line means. Raises FleetError."""
    fleet = target.fleet
    if fleet.toolchain is None:
        fix = "say in fleet.yaml which: `toolchain: {llvm: MAJOR}`"
        raise FleetError.of("fleet compile-check", "the fleet has no compiler in common", fix)
    known = tuple(host.name for host in clients(fleet))
    for name in hosts:
        if fleet.host(name).name not in known:
            fix = f"these do: {', '.join(known)}"
            raise FleetError.of("fleet compile-check", f"{name} sends no compile jobs", fix)
    return tuple(name for name in known if not hosts or name in hosts)


def _cluster(target: Target) -> tuple[Cluster | None, list[str]]:
    """The cluster, None when the scheduler does not answer; and what could not be learned."""
    workers, faults = look(target)
    there = {one.name: one for one in workers}
    nodes = {name: one.node for name, one in there.items() if one.node}
    if faults and not nodes:
        return None, faults
    blocked = {name: reason(one.blocked) for name, one in there.items() if one.blocked}
    strangers = {
        name: f"the node of that name {one.stranger}" for name, one in there.items() if one.stranger
    }
    return Cluster(nodes, blocked, strangers), faults


def _as_dict(found: Found, faults: Sequence[str]) -> dict[str, object]:
    return {
        "pairs": [asdict(one) for one in found.cells],
        "clients": [asdict(one) for one in found.clients],
        "lacks": [asdict(one) for one in found.lacks],
        "faults": list(faults),
    }


def _show(found: Found, faults: Sequence[str]) -> None:
    """The matrix, a client a line, and below what is not green."""
    workers = tuple(dict.fromkeys(cell.worker for cell in found.cells))
    cells = {(cell.client, cell.worker): cell for cell in found.cells}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("CLIENT", *workers):
        table.add_column(escape(column), overflow="fold")
    for client in found.clients:
        marks = [_mark(cells.get((client.name, worker))) for worker in workers]
        table.add_row(client.name, *marks)
    out = console()
    if found.clients:
        out.print(table)
    for cell in found.cells:
        if cell.reason and cell.state is not State.OFF:
            out.print(f"  {cell.client} → {cell.worker}: {cell.reason}", markup=False)
    for client in found.clients:
        if client.reason and (client.state is State.OFF or client.name not in _blamed(found)):
            out.print(f"  {client.name}: {client.reason}", markup=False)
    for lack in found.lacks:
        out.print(f"  {lack.client}: {lack.reason}", markup=False)
    for fault in faults:
        out.print(f"  {fault}", markup=False)


def _blamed(found: Found) -> set[str]:
    """The clients of which a line about a pair already says what is the matter."""
    reasons = {one.name: one.reason for one in found.clients}
    return {cell.client for cell in found.cells if cell.reason == reasons.get(cell.client)}


def _mark(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    said = f"{cell.seconds:.1f} s" if cell.state is State.GREEN else cell.state
    return f"[{_STYLE[cell.state]}]{said}[/]"
