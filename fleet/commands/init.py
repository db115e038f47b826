"""`fleet init`: a new fleet.yaml, by questions or from the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from fleet.commands.session import examples
from fleet.edit import attempt, write
from fleet.entry import entry_of, read_host
from fleet.kinds import ROLE_OS, Role
from fleet.model import Fleet
from fleet.problems import FleetError, WrongUsageError
from fleet.target import ROOT, fleet_file
from fleet.view import text_of
from fleet.yamlfile import display

TEMPLATE = "init/fleet.yaml.j2"


@click.command(
    epilog=examples(
        "fleet init                           asks",
        "fleet init home.yaml --name home --user admin --host boss,role=orchestrator,os=debian,"
        "arch=x86_64,cores=8,lan=192.168.1.10 --host berry,role=pi,os=raspios,lan=192.168.1.11",
    )
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--name", help="The fleet's name; also its compile network's.")
@click.option("--user", help="Who logs in to the hosts, and becomes root with sudo.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME,KEY=VALUE,...",
    help="A host: role, os, arch, cores, lan, power, site, user, port, hardware; repeatable.",
)
def init(file: Path | None, name: str | None, user: str | None, hosts: tuple[str, ...]) -> int:
    """Write a new fleet.yaml (or FILE), with comments that are a manual of its keys.

    At a terminal it asks for what the command line does not say. What is there already is never
    overwritten, and nothing is written that would not be valid.

    Exit code: 0 written, 1 there is one already, or it would not be valid.
    """
    path = file or fleet_file()
    if path.exists():
        fix = "edit it (`fleet add` adds a host), or name another file: fleet init FILE"
        raise FleetError.of(display(path), "is there already", fix)
    asks = sys.stdin.isatty()
    if not hosts and not asks:
        fix = "say at least the orchestrator: --host NAME,role=orchestrator,os=…,cores=…,lan=…"
        raise WrongUsageError.of("fleet init", "a fleet has hosts", fix)
    name = name or (_ask("Name of the fleet", "home") if asks else "home")
    user = user or (_ask("Who logs in to the hosts", "admin") if asks else "admin")

    def written(entries: list[str]) -> str:
        return text_of(TEMPLATE, name=name, user=user, hosts=entries)

    said = [entry_of(*read_host(one)) for one in hosts]
    text = written(said or _interview(lambda entries: attempt(path, written(entries))))
    fleet = attempt(path, text)
    _put(path, text)
    click.echo(f"{display(path)}: {len(fleet.hosts)} hosts")
    for step in _steps(fleet, path):
        click.echo(f"- {step}")
    return 0


def _ask(question: str, default: str | None = None) -> str:
    return str(click.prompt(question, default=default, err=True))


def _interview(attempted: Callable[[list[str]], Fleet]) -> list[str]:
    """Ask for the orchestrator first, then for other hosts until there is none.

    A host that would not be valid is asked for again; what is wrong elsewhere is raised.
    """
    entries: list[str] = []
    click.echo("First the host that runs the fleet's services.", err=True)
    role = Role.ORCHESTRATOR
    while True:
        entry = entry_of(_ask("Its name"), _host(role))
        try:
            attempted([*entries, entry])
        except FleetError as error:
            of_host = [one for one in error.problems if one.key.startswith("hosts")]
            if len(of_host) < len(error.problems):
                raise
            for problem in of_host:
                click.echo(f"{problem.key}: {problem.fault}; {problem.fix}", err=True)
            click.echo("\nOnce more, please.", err=True)
            continue
        entries.append(entry)
        others = [one.value for one in Role if one is not Role.ORCHESTRATOR]
        click.echo("", err=True)
        question = "Another host? Its role, or nothing"
        said = click.prompt(
            question, default="", show_default=False, err=True, type=click.Choice([*others, ""])
        )
        if not said:
            return entries
        role = Role(said)


def _host(role: Role) -> dict[str, str]:
    said = {"role": role.value}
    systems = [one.value for one in ROLE_OS[role]]
    if len(systems) > 1:
        said["os"] = _choice("Its system", systems)
    for word, question, choices in (
        ("arch", "Its machine", ["x86_64", "aarch64"]),
        ("cores", "Its logical processors", []),
    ):
        if f"\n  {word}: " not in entry_of("x", said):  # it does not follow from the rest
            said[word] = _choice(question, choices) if choices else _ask(question)
    said["lan"] = _ask("Its address on the LAN (IP address or DNS name)")
    said["power"] = _choice("Is it always on?", ["always-on", "sleeps", "roams"])
    if role is Role.WINDOWS_WSL:
        said["port"] = _ask("Port of its SSH server (Windows itself may have 22)", "2222")
    return said


def _choice(question: str, choices: list[str]) -> str:
    default = choices[0]
    return str(click.prompt(question, default=default, err=True, type=click.Choice(choices)))


def _put(path: Path, text: str) -> None:
    try:
        write(path, text)
    except OSError as error:
        fault = f"cannot be written: {error.strerror}"
        raise FleetError.of(display(path), fault, "name another file: fleet init FILE") from None


def _steps(fleet: Fleet, path: Path) -> list[str]:
    """What comes next."""
    first = [f"export FLEET_FILE={path.absolute()}"] if path != ROOT / "fleet.yaml" else []
    return [
        *first,
        f"read {display(path)}: it is for you to say who administers the fleet (operators), and "
        "where its secrets are",
        "make each machine ready, once, at its console: what `fleet bootstrap HOST` prints",
        f"pin their keys: fleet trust {' '.join(host.name for host in fleet.hosts)}",
        "see what is still in the way: fleet doctor",
        "put the tailnet's policy in its admin console: fleet policy",
        "see what a run would do, and do it: fleet plan; fleet apply",
    ]
