"""`fleet agents`: what every agent is doing, as the orchestrator knows it."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from fleet import orchestrator
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.commands.taskview import dollars, moment, plain

CHANGES = 2  # exit code: somebody is wanted
WANTED = {"unreachable", "logged-out", "stuck", "over-budget"}
STYLES = {"idle": "green", "working": "cyan", "asleep": "dim", "off": "dim"}


@click.command(
    epilog=examples(
        "fleet agents",
        "fleet agents --json | jq -r '.agents[] | select(.condition == \"stuck\").host.name'",
    )
)
@json_option
@pass_session
def agents(session: Session, as_json: bool) -> int:
    """Show every agent: whether it is idle, on which task it works, what it has spent.

    Exit code: 0 all is well, asleep and off included; 2 an agent needs somebody: it does not
    answer, is logged out, stuck in a dialog or over its budget; 1 the orchestrator does not answer.
    """
    target = session.target()
    found = orchestrator.rows(orchestrator.api(target, "GET", "/api/v1/agents"), "agents")
    if as_json:
        print_json({"agents": found})
    else:
        _show(found)
    return CHANGES if any(one.get("condition") in WANTED for one in found) else 0


def _show(found: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("AGENT", "STATE", "SINCE", "TASK", "SPENT", "CAP", "TODAY", ""):
        right = column in ("SPENT", "CAP", "TODAY", "TASK")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for one in found:
        money = one.get("money") or {}
        mine, day = money.get("of_session") or {}, money.get("of_day") or {}
        state = str(one.get("condition", ""))
        style = "red" if state in WANTED else STYLES.get(state, "")
        row = (
            plain(orchestrator.name_of(one)),
            plain(state),
            moment(one.get("since")),
            str(one.get("task") or "-"),
            dollars(mine.get("spent", 0)),
            dollars(mine.get("cap")),
            dollars(day.get("spent", 0)),
            plain(one.get("said") or money.get("refused") or ""),
        )
        table.add_row(*row, style=style)
    console().print(table)
