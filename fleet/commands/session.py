"""What the verbs share: the target they work on and how they print."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # imported late, so that `--help` is quick and an interrupt finds us awake
    from rich.console import Console

    from fleet.target import Target

PIPED_WIDTH = 200  # columns; a table in a pipe is read by grep, which wants whole lines


@dataclass(frozen=True)
class Session:
    """One call of the command; a verb gets it by `@pass_session`."""

    stated: str | None = None  # target that the command line names

    @property
    def target_name(self) -> str:
        """Name of the target, "real" or "lab"; raises WrongUsageError."""
        from fleet.target import target_name

        return target_name(self.stated)

    def target(self) -> Target:
        """Load the target; raises FleetError."""
        from fleet.target import load_target

        return load_target(self.stated)


pass_session = click.make_pass_decorator(Session, ensure=True)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def examples(*lines: str) -> str:
    """The end of a verb's help: command lines as one types them."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def names_or_all(
    target: Target, command: str, hosts: tuple[str, ...], *, everywhere: bool
) -> tuple[str, ...]:
    """The agents that a command line means. Raises WrongUsageError, FleetError."""
    from fleet.problems import FleetError, WrongUsageError

    agents = tuple(host.name for host in target.fleet.hosts if host.is_agent)
    if bool(hosts) is everywhere:
        raise WrongUsageError.of(command, "which agents?", "name hosts, or say --all")
    for name in hosts:
        if target.fleet.host(name).name not in agents:
            fix = f"agents run on: {', '.join(agents)}"
            raise FleetError.of(command, f"no agent runs on {name}", fix)
    return agents if everywhere else tuple(dict.fromkeys(hosts))


def console() -> Console:
    """Return the console for tables and colours; in a pipe it is wide and has no colour."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, width=PIPED_WIDTH, no_color=True, force_terminal=False)


def print_json(data: object) -> None:
    """Print data as JSON, a key a line."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))
