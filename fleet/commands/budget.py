"""`fleet budget`: what agents have spent, and what their caps leave them."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from fleet import orchestrator
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json

CHANGES = 2  # exit code: somebody is warned or stopped


@click.command(
    epilog=examples(
        "fleet budget",
    )
)
@click.option("--days", default=1, show_default=True, help="Days to show, today included.")
@json_option
@pass_session
def budget(session: Session, days: int, as_json: bool) -> int:
    """Show what each agent's session has spent of its cap, and the day's total.

    The gateway on the orchestrator is asked, which alone can have anything paid.

    Exit code: 0 everybody has enough left, 2 a cap is nearly or wholly spent, 1 the gateway does
    not answer.
    """
    found = orchestrator.ask(session.target(), "budget", "--days", str(days))
    if as_json:
        print_json(found)
    else:
        _show(found)
    return CHANGES if any(host["warn"] or host["reason"] for host in found["hosts"]) else 0


def _show(found: dict[str, Any]) -> None:
    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("HOST", "SESSION", "SPENT", "CAP", "TODAY", "A DAY", ""):
        money = column in ("SPENT", "CAP", "TODAY", "A DAY")
        table.add_column(column, justify="right" if money else "left", overflow="fold")
    for host in found["hosts"]:
        style = "red" if host["reason"] else "yellow" if host["warn"] else ""
        row = (
            host["host"],
            host["session"] or "none",
            _dollars(host["spent"]),
            _dollars(host["cap"]),
            _dollars(host["day"]["spent"]),
            _dollars(host["day"]["cap"]),
            host["reason"] or ("nearly spent" if host["warn"] else ""),
        )
        table.add_row(*row, style=style)
    out.print(table)
    fleet = found["fleet"]
    out.print(f"\ntoday, all together: {_dollars(fleet['spent'])} of {_dollars(fleet['cap'])}")
    for day in found["days"][1:]:
        out.print(f"{day['day']}: {_dollars(day['spent'])}")


def _dollars(amount: float | None) -> str:
    return "no limit" if amount is None else f"${amount:.2f}"
