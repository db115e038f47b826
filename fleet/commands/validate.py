"""`fleet validate`: every fault of fleet.yaml and of the lock files, at once."""

from __future__ import annotations

from pathlib import Path

import click

from fleet.commands.session import Session, examples, json_option, pass_session, print_json
from fleet.lock import lock_path, read_artifacts_lock, read_fleet_lock
from fleet.model import Fleet, load_fleet
from fleet.problems import FleetError, Problem, show_path
from fleet.target import LAB, artifacts_file, fleet_file
from fleet.yamlfile import display


@click.command(
    epilog=examples(
        "fleet validate",
        "fleet validate /tmp/fleet.yaml",
    )
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@json_option
@pass_session
def validate(session: Session, file: Path | None, as_json: bool) -> int:
    """Check fleet.yaml (or FILE), the lock beside it, and the pinned downloads.

    Prints every problem with its file, line and key, and what would be right; exits with 1 when
    there is one. Hosts that only the lock knows are mentioned, and are no problem.
    """
    path = file or fleet_file()
    fleet, problems = _check(path)
    if session.target_name == LAB and not problems:
        session.target()
    notes = _strays(path, fleet) if fleet else []
    if as_json:
        print_json(_report(path, fleet, problems, notes))
    else:
        _print(path, fleet, problems, notes)
    return 1 if problems else 0


def _check(path: Path) -> tuple[Fleet | None, list[Problem]]:
    fleet: Fleet | None = None
    problems: list[Problem] = []
    try:
        fleet = load_fleet(path)
    except FleetError as error:
        problems += error.problems
    try:
        read_artifacts_lock(artifacts_file())
    except FleetError as error:
        problems += error.problems
    return fleet, problems


def _strays(path: Path, fleet: Fleet) -> list[str]:
    lock = lock_path(path)
    names = read_fleet_lock(lock).strays(tuple(host.name for host in fleet.hosts))
    fault = f"no longer in {display(path)}: remove it when it is gone"
    return [f"{display(lock)}: {show_path(('hosts', name))}: {fault}" for name in names]


def _report(
    path: Path, fleet: Fleet | None, problems: list[Problem], notes: list[str]
) -> dict[str, object]:
    return {
        "file": display(path),
        "ok": not problems,
        "hosts": len(fleet.hosts) if fleet else None,
        "problems": [problem.as_dict() for problem in FleetError(problems).problems],
        "notes": notes,
    }


def _print(path: Path, fleet: Fleet | None, problems: list[Problem], notes: list[str]) -> None:
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        click.echo(f"{FleetError(problems)}\n{display(path)}: {count}", err=True)
    elif fleet:
        count = "1 host" if len(fleet.hosts) == 1 else f"{len(fleet.hosts)} hosts"
        click.echo("\n".join([*notes, f"{display(path)}: {count}, ok"]))
