"""`fleet replace`: a host is set up anew, on a new disk, under its old name."""

from __future__ import annotations

import click

from fleet import complete, orchestrator
from fleet.commands.outcomes import confirm
from fleet.commands.session import Session, examples, json_option, pass_session, print_json
from fleet.joining import joining
from fleet.leaving import forget, give_up, tasks_on
from fleet.model import Host, load_fleet
from fleet.problems import FleetError
from fleet.target import Target, fleet_file
from fleet.yamlfile import display

LOST, REQUEUE = "lost", "requeue"


@click.command(
    epilog=examples(
        "fleet replace berry                   a new SD card",
        "fleet replace tower --tasks requeue   WSL was set up anew; its tasks begin again",
    )
)
@click.argument("host", shell_complete=complete.hosts)
@click.option(
    "--tasks",
    type=click.Choice([LOST, REQUEUE]),
    default=LOST,
    show_default=True,
    help="What its agent worked on: lost until somebody decides, or tried again.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_session
def replace(session: Session, host: str, tasks: str, yes: bool, as_json: bool) -> int:
    """Forget what was learned of HOST, since what comes back under its name is another system: its
    SSH host key, its place in the tailnet, its network card, its compiler.

    For a new SD card, a WSL distribution that was set up anew, a machine in the place of another
    one. The host may be dead; nothing is changed on it, and fleet.yaml stays. Prints what comes
    next.

    Exit code: 0 forgotten, 1 the orchestrator does not answer, or the host cannot be replaced so.
    """
    target = session.target()
    old = target.fleet.host(host)
    _refuse(old)
    confirm("fleet replace", f"Forget the keys and addresses of {host}?", yes=yes)
    had = _settle(target, old, again=tasks == REQUEUE)
    forget(target, old)
    left = [
        f"remove {host} from the tailnet in its admin console, so that the new one gets its name",
        *joining(old),
    ]
    if as_json:
        print_json({"host": host, "tasks": had, "by_hand": left})
        return 0
    click.echo(f"{host}: forgotten")
    for number in had:
        click.echo(f"task {number}: {'queued again' if tasks == REQUEUE else 'lost'}")
    for step in left:
        click.echo(f"- {step}")
    return 0


def _refuse(host: Host) -> None:
    """Raise FleetError where forgetting would not be enough."""
    if host.role.value == "orchestrator":
        fix = "it comes back from a backup: docs/lifecycle.md, A new orchestrator"
        raise FleetError.of("fleet.yaml", f"{host.name} is the orchestrator", fix, key="role")
    path = fleet_file()
    if load_fleet(path, path.with_name("none")).host(host.name).addresses.tailnet:
        fix = "remove it there: the new one gets another, and a run learns it"
        key = f"hosts.{host.name}.addresses.tailnet"
        raise FleetError.of(display(path), "its place in the tailnet is stated", fix, key=key)


def _settle(target: Target, host: Host, *, again: bool) -> list[int]:
    """What becomes of the tasks that it had; their numbers. Raises FleetError."""
    lost = set(tasks_on(target, host, ("lost",))) if again else set()
    had = set(give_up(target, host))
    for number in sorted(had | lost) if again else ():
        found = orchestrator.api(target, "GET", f"/api/v1/tasks/{number}")
        if found.get("state") == "lost":
            orchestrator.api(target, "POST", f"/api/v1/tasks/{number}/retry")
    return sorted(had | lost)
