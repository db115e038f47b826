"""The `fleet` command: a table of verbs, and how every one of them ends.

A verb is a click command in a module of its own, imported when it is called. It may return its exit
code; FleetError and click's errors become messages on standard error, never a traceback.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TextIO

import click

from fleet.commands.session import Session
from fleet.problems import FleetError, WrongUsageError, closest, show

EXIT_ERROR, EXIT_USAGE, EXIT_INTERRUPTED = 1, WrongUsageError.exit_code, 130


class Verb(NamedTuple):
    """Where a verb is, as `module:attribute`, and its line in the list of commands."""

    where: str
    help: str


VERBS: Mapping[str, Verb] = {
    "agents": Verb("fleet.commands.agents:agents", "Show what every agent is doing."),
    "budget": Verb("fleet.commands.budget:budget", "Show what agents have spent of their caps."),
    "compile-check": Verb(
        "fleet.commands.compile_check:compile_check",
        "Prove that clients can use workers, by compiling.",
    ),
    "doctor": Verb("fleet.commands.doctor:doctor", "Find out why it does not work from here."),
    "env": Verb("fleet.commands.env:env", "Print what a shell needs to compile with the fleet."),
    "graph": Verb("fleet.commands.graph:graph", "Draw the fleet: hosts, doors, compile cluster."),
    "hosts": Verb("fleet.commands.hosts:hosts", "Show the hosts and what they are for."),
    "kill": Verb("fleet.commands.kill:kill", "Revoke the sessions of agents, at once."),
    "lab": Verb("lab.cli:lab", "Start, look into and stop the lab: the fleet on one machine."),
    "new-session": Verb("fleet.commands.new_session:new_session", "Begin a new session on agents."),
    "outdated": Verb(
        "fleet.commands.outdated:outdated", "Show newer downloads, and hosts' pending upgrades."
    ),
    "pin": Verb(
        "fleet.commands.pin:pin", "Pin downloads: fetch, compare, write down; or list them."
    ),
    "policy": Verb("fleet.commands.policy:policy", "Print the tailnet's policy for the fleet."),
    "render": Verb("fleet.commands.render:render", "Write the files of every host."),
    "restore": Verb(
        "fleet.commands.restore:restore", "Bring a backup of the orchestrator's databases back."
    ),
    "revoke": Verb("fleet.commands.revoke:revoke", "Take an operator's access away everywhere."),
    "schema": Verb("fleet.commands.schema:schema", "Print the JSON Schema of fleet.yaml."),
    "status": Verb("fleet.commands.status:status", "Look at every host: what runs, what differs."),
    "task": Verb("fleet.commands.task:task", "Send tasks to agents, watch them, get their code."),
    "trust": Verb("fleet.commands.trust:trust", "Pin the SSH host keys of hosts."),
    "validate": Verb("fleet.commands.validate:validate", "Check fleet.yaml and the lock files."),
    "workers": Verb(
        "fleet.commands.workers:workers", "Show the compile cluster; let a worker in again."
    ),
}


class Verbs(click.Group):
    """A group that imports a command when it is called, and none to list them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the verbs, sorted."""
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb; raises FleetError when this installation does not have it."""
        if cmd_name not in VERBS:
            return None
        module, attribute = VERBS[cmd_name].where.split(":")
        try:
            command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
            fault = f"this installation has no `{cmd_name}`"
            raise FleetError.of("fleet", fault, "use a full checkout of the repository") from None
        if not isinstance(command, click.Command):
            raise TypeError(f"{VERBS[cmd_name].where} is no command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; an unknown one gets a guess."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            guess = closest(args[0], VERBS)
            hint = f' Did you mean "{guess}"?' if guess else ""
            raise click.UsageError(f"No such command {show(args[0])}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, VERBS[name].help) for name in self.list_commands(ctx)])


def _version() -> str:
    try:
        return importlib.metadata.version("agentfleet")
    except importlib.metadata.PackageNotFoundError:
        return "(a checkout that is not installed)"


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done or nothing to do, 1 error, 2 changes pending, 3 hosts are off that "
    "may be, 64 wrong usage, 130 interrupted.",
)
@click.option("--lab", is_flag=True, help="Work on the lab instead of the real fleet.")
@click.version_option(_version(), message="fleet %(version)s")
@click.pass_context
def fleet(ctx: click.Context, lab: bool) -> None:
    """One file, fleet.yaml, describes the fleet; this command checks, shows and changes it.

    FLEET_FILE names another file than the fleet.yaml of this checkout; FLEET_TARGET=lab is the
    same as --lab.
    """
    ctx.obj = Session("lab" if lab else None)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows no "…" still gets a text
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(args)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader has gone: nothing is left to say, nor to say it to
        _silence(sys.stdout)
        return EXIT_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OSError as error:
        _silence(sys.stdout)
        click.echo(f"fleet: {error.strerror or error}: {error.filename or 'output'}", err=True)
        return EXIT_ERROR
    return code


def _silence(stream: TextIO) -> None:
    """Point a stream that cannot be written to nowhere, so that closing it raises nothing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run(args: Sequence[str] | None) -> int:
    try:
        result = fleet.main(args, prog_name="fleet", standalone_mode=False)
    except FleetError as error:
        click.echo(str(error), err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE if isinstance(error, click.UsageError) else EXIT_ERROR
    except click.Abort:
        return EXIT_INTERRUPTED
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else EXIT_ERROR
    return result if isinstance(result, int) else 0
