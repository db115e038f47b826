"""The `fleet` command: a table of verbs, and how every one of them ends.

A verb is a click command in a module of its own, imported when it is called. It may return its exit
code; FleetError and click's errors become messages on standard error, never a traceback.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TextIO

import click
from click.shell_completion import CompletionItem

from fleet.commands.session import Session
from fleet.problems import FleetError, WrongUsageError, closest, show

COMPLETING = "_FLEET_COMPLETE"  # environment: what a shell wants to know, in click's words
EXIT_ERROR, EXIT_USAGE, EXIT_INTERRUPTED = 1, WrongUsageError.exit_code, 130


class Verb(NamedTuple):
    """Where a verb is, as `module:attribute`, and its line in the list of commands."""

    where: str
    help: str


VERBS: Mapping[str, Verb] = {
    "add": Verb("fleet.commands.add:add", "Add a host to fleet.yaml."),
    "agents": Verb("fleet.commands.agents:agents", "Show what every agent is doing."),
    "apply": Verb("fleet.commands.apply:apply", "Bring the hosts to what fleet.yaml says."),
    "bootstrap": Verb(
        "fleet.commands.bootstrap:bootstrap", "Print the script that makes a fresh machine a host."
    ),
    "budget": Verb("fleet.commands.budget:budget", "Show what agents have spent of their caps."),
    "check": Verb("fleet.commands.check:check", "Check that everything works, with evidence."),
    "compile-check": Verb(
        "fleet.commands.compile_check:compile_check",
        "Prove that clients can use workers, by compiling.",
    ),
    "completion": Verb(
        "fleet.commands.completion:completion", "Print what a shell needs to complete this command."
    ),
    "doctor": Verb("fleet.commands.doctor:doctor", "Find out why it does not work from here."),
    "drift": Verb("fleet.commands.drift:drift", "Say which hosts are no longer as they should be."),
    "env": Verb("fleet.commands.env:env", "Print what a shell needs to compile with the fleet."),
    "graph": Verb("fleet.commands.graph:graph", "Draw the fleet: hosts, doors, compile cluster."),
    "history": Verb("fleet.commands.history:history", "Show what runs have done, and whose."),
    "hosts": Verb("fleet.commands.hosts:hosts", "Show the hosts and what they are for."),
    "init": Verb("fleet.commands.init:init", "Write a new fleet.yaml."),
    "kill": Verb("fleet.commands.kill:kill", "Revoke the sessions of agents, at once."),
    "lab": Verb("lab.cli:lab", "Start, look into and stop the lab: the fleet on one machine."),
    "logs": Verb("fleet.commands.logs:logs", "Print the log of a service on a host."),
    "new-session": Verb("fleet.commands.new_session:new_session", "Begin a new session on agents."),
    "outdated": Verb(
        "fleet.commands.outdated:outdated", "Show newer downloads, and hosts' pending upgrades."
    ),
    "pin": Verb(
        "fleet.commands.pin:pin", "Pin downloads: fetch, compare, write down; or list them."
    ),
    "plan": Verb("fleet.commands.plan:plan", "Show what a run would change."),
    "policy": Verb("fleet.commands.policy:policy", "Print the tailnet's policy for the fleet."),
    "remove": Verb("fleet.commands.remove:remove", "Take a host out of the fleet, everywhere."),
    "render": Verb("fleet.commands.render:render", "Write the files of every host."),
    "replace": Verb(
        "fleet.commands.replace:replace", "Forget a host that is set up anew under its name."
    ),
    "restart": Verb("fleet.commands.restart:restart", "Restart a service on a host."),
    "restore": Verb(
        "fleet.commands.restore:restore", "Bring a backup of the orchestrator's databases back."
    ),
    "revoke": Verb("fleet.commands.revoke:revoke", "Take an operator's access away everywhere."),
    "schema": Verb("fleet.commands.schema:schema", "Print the JSON Schema of fleet.yaml."),
    "ssh": Verb("fleet.commands.ssh:ssh", "Log in to a host, or run a command there."),
    "status": Verb("fleet.commands.status:status", "Look at every host: what runs, what differs."),
    "task": Verb("fleet.commands.task:task", "Send tasks to agents, watch them, get their code."),
    "trust": Verb("fleet.commands.trust:trust", "Pin the SSH host keys of hosts."),
    "unlock": Verb("fleet.commands.unlock:unlock", "Take away the lock of a run that is dead."),
    "upgrade": Verb(
        "fleet.commands.upgrade:upgrade", "Upgrade downloads, or hosts' systems, in waves."
    ),
    "validate": Verb("fleet.commands.validate:validate", "Check fleet.yaml and the lock files."),
    "wake": Verb("fleet.commands.wake:wake", "Wake a host that is off."),
    "why": Verb("fleet.commands.why:why", "Say where something on a host comes from."),
    "workers": Verb(
        "fleet.commands.workers:workers", "Show the compile cluster; let a worker in again."
    ),
}

# What verbs are for: the sections of the list of commands. One that is in none comes last.
PURPOSES: Mapping[str, tuple[str, ...]] = {
    "Look": (
        "hosts",
        "status",
        "check",
        "drift",
        "history",
        "why",
        "logs",
        "ssh",
        "outdated",
        "graph",
        "render",
    ),
    "Change the fleet": (
        "plan",
        "apply",
        "unlock",
        "upgrade",
        "restart",
        "wake",
        "pin",
        "revoke",
        "remove",
        "replace",
        "restore",
    ),
    "Agents": ("agents", "task", "budget", "new-session", "kill"),
    "Compile": ("workers", "compile-check", "env"),
    "Set up": (
        "init",
        "add",
        "doctor",
        "validate",
        "bootstrap",
        "trust",
        "policy",
        "schema",
        "completion",
        "lab",
    ),
}


def _sections() -> dict[str, list[str]]:
    """Section → its verbs, of those that there are."""
    found = {title: [one for one in names if one in VERBS] for title, names in PURPOSES.items()}
    listed = {name for names in found.values() for name in names}
    found["More"] = sorted(set(VERBS) - listed)
    return {title: names for title, names in found.items() if names}


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

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a verb from the table, or an option of all verbs."""
        verbs = [
            CompletionItem(name, help=VERBS[name].help)
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

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
        """Write the list of commands from the table, by what they are for."""
        for title, names in _sections().items():
            with formatter.section(title):
                formatter.write_dl([(name, VERBS[name].help) for name in names])


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if not asked or ctx.resilient_parsing:
        return
    import importlib.metadata as packages  # takes longer than to complete a word

    try:
        version = packages.version("agentfleet")
    except packages.PackageNotFoundError:
        version = "(a checkout that is not installed)"
    click.echo(f"fleet {version}")
    ctx.exit()


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done or nothing to do, 1 error, 2 changes or restarts pending, 3 hosts "
    "are off that may be, 4 locked by another run, 5 the plan is stale, 64 wrong usage, "
    "130 interrupted.",
)
@click.option("--lab", is_flag=True, help="Work on the lab instead of the real fleet.")
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.pass_context
def fleet(ctx: click.Context, lab: bool) -> None:
    """One file, fleet.yaml, describes the fleet; this command checks, shows and changes it.

    `fleet VERB --help` has examples of each; docs/commands.md has all of it on one page.

    FLEET_FILE names another file than the fleet.yaml of this checkout; FLEET_TARGET=lab is the
    same as --lab.
    """
    ctx.obj = Session("lab" if lab else None)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows no "…" still gets a text
            stream.reconfigure(errors="backslashreplace")
    if COMPLETING in os.environ:  # whatever is wrong, the line that is being typed stays as it is
        _silence(sys.stderr)
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
