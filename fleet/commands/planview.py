"""How plans and runs are told in a terminal. What hosts say is made harmless here."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from fleet.apply import Applied, Ending, Result
from fleet.planned import HostPlan, Planned, Standing
from fleet.problems import printable

STYLES = {
    Standing.CLEAN: "green",
    Standing.CHANGES: "yellow",
    Standing.PENDING: "yellow",
    Standing.ASLEEP: "cyan",
    Standing.DOWN: "red",
    Standing.FAILED: "red",
}
_WORDS = {
    Standing.CLEAN: "as fleet.yaml says",
    Standing.PENDING: "waits",
    Standing.ASLEEP: "asleep: pending until it is on",
    Standing.DOWN: "down: it should be on",
    Standing.FAILED: "error",
}
_ENDINGS = {
    Ending.CHANGED: "green",
    Ending.CLEAN: "green",
    Ending.PENDING: "yellow",
    Ending.FAILED: "red",
    Ending.LOCKED: "red",
    Ending.ASLEEP: "cyan",
    Ending.DOWN: "red",
    Ending.STOPPED: "yellow",
    Ending.UNTOUCHED: "yellow",
}
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def show_plan(out: Console, plan: Planned, *, diffs: bool, said: bool = True) -> None:
    """Print what would change, host by host; `said`: with what people should know."""
    for host in plan.hosts:
        _show_host(out, host, diffs=diffs, said=said)
    out.print(summary(plan))


def _show_host(out: Console, host: HostPlan, *, diffs: bool, said: bool) -> None:
    count = len(host.changes)
    words = _WORDS.get(host.standing) or f"{count} {'change' if count == 1 else 'changes'}"
    out.print(f"[bold]{escape(host.host)}[/] [{STYLES[host.standing]}]{words}[/]")
    if host.error:
        _lines(out, host.error.split("\n"), "red" if host.standing is not Standing.ASLEEP else "")
    for step in host.steps:
        before = f"{step.capability}: " if step.capability else ""
        _lines(out, [f"{before}{line}" for line in step.changes])
        _lines(out, [f"{before}{line}" for line in step.pending], "yellow")
        for diff in step.diffs if diffs else ():
            show_diff(out, diff)
    _lines(out, [f"skipped: {line}" for line in host.skipped], "dim")
    _lines(out, host.remarks if said else (), "dim")


def _lines(out: Console, lines: Sequence[str], style: str = "") -> None:
    for line in lines:
        out.print(Text(f"  {printable(line)}", style), soft_wrap=True)


def show_diff(out: Console, diff: str) -> None:
    """Print a unified diff, byte for byte but for control characters."""
    for line in diff.split("\n"):
        style = "bold" if line.startswith(("+++", "---")) else _DIFF_STYLES.get(line[:1], "")
        out.print(Text(f"    {printable(line.expandtabs())}", style), soft_wrap=True)


def summary(plan: Planned) -> str:
    """One line that counts hosts."""
    parts = [
        f"{len(found)} {words}"
        for standing, words in (
            (Standing.CHANGES, "to change"),
            (Standing.CLEAN, "as they should be"),
            (Standing.PENDING, "waiting"),
            (Standing.ASLEEP, "asleep"),
            (Standing.DOWN, "down"),
            (Standing.FAILED, "in error"),
        )
        if (found := plan.named(standing))
    ]
    return f"{len(plan.hosts)} {'host' if len(plan.hosts) == 1 else 'hosts'}: {', '.join(parts)}"


def show_results(out: Console, done: Applied) -> None:
    """Print what became of each host."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("HOST", "RESULT", "CHANGES", "WHY"):
        table.add_column(
            column, overflow="fold", justify="right" if column == "CHANGES" else "left"
        )
    for one in done.results.values():
        style = _ENDINGS[one.ending]
        table.add_row(one.host, f"[{style}]{one.ending}[/]", str(len(one.changes)), _why(one))
    out.print(table)
    if done.broken:
        untouched = [one.host for one in done.results.values() if one.ending is Ending.UNTOUCHED]
        if untouched:
            out.print(f"Stopped there; not touched: {', '.join(untouched)}", markup=False)
    if done.stopped:
        out.print("Stopped by you. Every host is consistent: fleet apply goes on from there.")


def _why(one: Result) -> str:
    said = one.error or "; ".join(one.pending)
    lines = said.strip().split("\n")
    return escape(printable(lines[-1] if one.ending is Ending.FAILED else lines[0]))
