"""`fleet why`: where something on a host comes from."""

from __future__ import annotations

from dataclasses import asdict

import click

from fleet import complete
from fleet.commands.session import Session, examples, json_option, pass_session, print_json
from fleet.history import Line
from fleet.hostnotes import history_of
from fleet.problems import FleetError, printable
from fleet.provenance import last_run, origin


@click.command(
    epilog=examples(
        "fleet why berry /etc/systemd/system/agentfleet-iceccd.service",
        "fleet why mac org.agentfleet.iceccd",
    )
)
@click.argument("host", shell_complete=complete.hosts)
@click.argument("path")
@click.option("--offline", is_flag=True, help="Do not ask the host which run put it there.")
@json_option
@pass_session
def why(session: Session, host: str, path: str, offline: bool, as_json: bool) -> int:
    """Say why PATH is on HOST as it is: the capability that wants it, the template it is rendered
    from, what that capability reads of fleet.yaml, its lock and group_data, and the run that put it
    there. A service's name will do as well.

    Exit code: 0, or 1 when nothing of the fleet's is there.
    """
    target = session.target()
    found = origin(target, host, path)
    run, unasked = None, ""
    if not offline:
        try:
            run = last_run(history_of(target, host), path)
        except FleetError as error:
            unasked = str(error)
    if as_json:
        print_json({"host": host, "path": path, **asdict(found), "run": run, "unasked": unasked})
        return 0
    click.echo(printable(f"{path} on {host}: {found.kind}"))
    click.echo(f"  capability  {found.capability} (deploys/{found.capability}.py)")
    if found.template:
        click.echo(f"  template    templates/{found.template}")
    for name, keys in (
        ("fleet.yaml", found.keys),
        ("learned", found.learned),
        ("group_data", found.values),
    ):
        if keys:
            click.echo(f"  {name:11} {', '.join(keys)}")
    if not offline:
        click.echo(f"  run         {_run(run, unasked)}")
    return 0


def _run(run: Line | None, unasked: str) -> str:
    if unasked:
        return unasked
    if run is None:
        return "none that the host remembers"
    commit = f" of {str(run.get('commit'))[:9]}" if run.get("commit") else ""
    dirty = ", with changes that were not committed" if run.get("dirty") else ""
    return printable(f"{run.get('run')} by {run.get('who')}{commit}{dirty}: {run.get('reason')}")
