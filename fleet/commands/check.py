"""`fleet check`: how the fleet is, item by item, with what speaks for it."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.markup import escape
from rich.table import Table

from fleet import tasktrial
from fleet.check import check as ask_all
from fleet.check import only
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.commands.watching import Watcher
from fleet.exits import Exit, worst
from fleet.problems import WrongUsageError, printable
from orchestrator.health.model import Item, Verdict

_STYLES = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.FAILED: "red",
    Verdict.PENDING: "cyan",
    Verdict.UNKNOWN: "yellow",
}
_EXITS = {Verdict.FAILED: Exit.ERROR, Verdict.PENDING: Exit.OFF}


@click.command(
    epilog=examples(
        "fleet check",
        "fleet check --only berry --all    one host, item by item",
        "fleet check --only agent         one item of all hosts",
        "fleet check --deep",
        "fleet check --deep --only task@berry  one agent, and nothing else",
    )
)
@click.option(
    "--only", "wanted", multiple=True, metavar="ITEM", help="Only this item or host; repeatable."
)
@click.option(
    "--deep", is_flag=True, help="Read what is installed whole, and try an agent: costs money."
)
@click.option("--all", "everything", is_flag=True, help="Show what is well, too.")
@json_option
@pass_session
def check(
    session: Session, wanted: tuple[str, ...], deep: bool, everything: bool, as_json: bool
) -> int:
    """Check the fleet: services, disks, clocks, versions, the tailnet both ways, every agent's
    /status, the compile cluster against fleet.yaml, the page and its agents, budgets, strangers;
    and that a small file sent to be compiled is compiled on another host. Each fault comes with its
    evidence and the next command to type.

    With --deep what is installed is read whole, and one idle agent, or that of `--only task@HOST`,
    is given a task through the orchestrator: to write a file, which is looked for on its host. That
    costs money, a few cents as a rule and half a dollar at most, and begins a new session there.

    A host that is off and may be is pending. Changes nothing but that session.

    Exit code: 0 all is well, warnings included, 1 something has failed, 3 hosts are off that may
    be, 64 no such item or host.
    """
    if not deep and tasktrial.is_meant(wanted):
        fault = "an agent is only given a task if you say so: it costs money"
        raise WrongUsageError.of("--only", fault, "say --deep, too")
    target = session.target()
    watcher = Watcher(quiet=as_json)
    with watcher.over(f"checking {len(target.fleet.hosts)} hosts"):
        found = only(ask_all(target, deep=deep, wanted=wanted), wanted)
    if as_json:
        print_json([_as_dict(one) for one in found])
    else:
        _show(found, everything=everything)
    return worst(_EXITS.get(one.verdict, Exit.DONE) for one in found)


def _show(items: Sequence[Item], *, everything: bool) -> None:
    out = console()
    shown = [one for one in items if everything or one.verdict is not Verdict.OK]
    if shown:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("HOST", "ITEM", "", "EVIDENCE", "NEXT"):
            table.add_column(column, overflow="fold")
        for one in shown:
            table.add_row(
                one.host or "-",
                one.kind,
                f"[{_STYLES[one.verdict]}]{one.verdict}[/]",
                escape(printable(one.evidence)),
                escape(printable(one.advice)),
            )
        out.print(table)
    counts = [f"{n} {v}" for v in Verdict if (n := sum(one.verdict is v for one in items))]
    out.print(f"{len(items)} items: {', '.join(counts)}")


def _as_dict(one: Item) -> dict[str, str]:
    return {
        "item": one.name,
        "kind": one.kind,
        "host": one.host,
        "verdict": one.verdict.value,
        "evidence": one.evidence,
        "advice": one.advice,
    }
