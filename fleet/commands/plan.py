"""`fleet plan`: what a run would change, and nothing is changed."""

from __future__ import annotations

from pathlib import Path

import click

from fleet.commands.planview import show_plan
from fleet.commands.running import limit_option, plan_as_dict, plan_of, runner_for
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.commands.watching import Watcher
from fleet.planned import save


@click.command(
    epilog=examples(
        "fleet plan",
        "fleet plan --limit pi",
        "fleet plan --save tonight.plan && fleet apply tonight.plan",
    )
)
@limit_option
@click.option(
    "--save",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the plan there, for `fleet apply FILE`.",
)
@click.option("--no-diff", is_flag=True, help="Say what changes without the lines that do.")
@json_option
@pass_session
def plan(
    session: Session, limits: tuple[str, ...], file: Path | None, no_diff: bool, as_json: bool
) -> int:
    """Look at every host and print what `fleet apply` would change there: each file with its diff,
    packages, services, restarts that follow or have to wait. Changes nothing.

    Secrets are masked. A host that is off and may be is pending; one that should be on is an error.

    Exit code: 0 nothing to do, 1 a host is in error or down, 2 changes or restarts are pending,
    3 hosts are off that may be, 64 a limit that means no host.
    """
    target = session.target()
    run, runner = runner_for(target, "plan")
    found = plan_of(target, runner, limits, Watcher(quiet=as_json), run)
    if file:
        save(found, file)
    if as_json:
        print_json(plan_as_dict(found))
    else:
        show_plan(console(), found, diffs=not no_diff)
        if file:
            click.echo(f"saved: fleet apply {file}")
    return found.exit
