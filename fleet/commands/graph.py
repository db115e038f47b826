"""`fleet graph`: a picture of the fleet, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import click

from fleet.commands.session import Session, examples, pass_session
from fleet.graph.mesh import cluster, mesh
from fleet.graph.table import table
from fleet.model import Fleet
from fleet.problems import FleetError

KINDS: Mapping[str, Callable[[Fleet], str]] = {
    "mesh": lambda fleet: mesh(fleet).svg(),
    "doors": table,
    "compile": lambda fleet: cluster(fleet).svg(),
}


@click.command(
    epilog=examples(
        "fleet graph --output fleet.svg",
        "fleet graph --kind doors --output doors.svg",
    )
)
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    default="mesh",
    show_default=True,
    help="mesh: the hosts at their sites, and who reaches whom. doors: each port, and who may "
    "come there. compile: scheduler, workers and clients.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File that gets the picture. Default: standard output.",
)
@pass_session
def graph(session: Session, kind: str, output: Path | None) -> None:
    """Draw the fleet as SVG, without asking any host.

    The picture needs no other file, and has colours for light and dark. Equal files of the fleet
    give equal bytes. It follows from fleet.yaml, what runs have learned, and the table of doors
    that firewalls and the tailnet's policy come from.

    """
    picture = KINDS[kind](session.target().fleet)
    if output is None:
        click.echo(picture, nl=False)
        return
    try:
        output.write_text(picture, encoding="utf-8")
    except OSError as error:
        fault = f"cannot be written: {error.strerror or error}"
        raise FleetError.of(str(output), fault, "name another file with --output") from None
    click.echo(f"{output}: {kind}")
