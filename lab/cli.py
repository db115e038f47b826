"""`fleet lab …`: start, look into and stop the lab."""

import dataclasses
import json
import os
import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from fleet.commands.session import examples
from lab import preflight, remote
from lab.api import DEFAULT_TAG, Lab
from lab.errors import LabError, UsageError
from lab.progress import Reporter
from lab.spec import chosen
from lab.status import HostStatus
from lab.tailnet.cli import tailnet

STATE_STYLES = {"up": "green", "booting": "yellow", "off": "red", "absent": "dim"}


class LabGroup(click.Group):
    """Commands whose failures are messages, not tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run a command; turn the lab's errors into click's."""
        try:
            return super().invoke(ctx)
        except UsageError as error:
            raise click.UsageError(str(error)) from error
        except LabError as error:
            raise click.ClickException(str(error)) from error


@click.group(
    cls=LabGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "fleet lab up                         all nine; or: fleet lab up rpi1 imac",
        "fleet lab ssh rpi1",
        "fleet lab poweroff rpi2              pull its plug",
        "fleet lab down",
    ),
)
@click.option("--name", metavar="LAB", help="Which lab. Default: $FLEET_LAB, else demo.")
@click.pass_context
def lab(ctx: click.Context, name: str | None) -> None:
    """The whole fleet on this machine: real systemd hosts for trying and testing.

    Needs root on Linux. Labs of different names run side by side.
    """
    ctx.obj = Lab(name, reporter=Reporter())


@lab.command()
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.pass_obj
def up(it: Lab, hosts: tuple[str, ...]) -> None:
    """Start hosts (default: all); the first time this builds their images."""
    it.up(hosts)
    _show(it.status())


@lab.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def status(it: Lab, as_json: bool) -> None:
    """Show what each host is doing."""
    found = it.status()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(host) for host in found], indent=2))
    else:
        _show(found)


@lab.command(context_settings={"ignore_unknown_options": True})
@click.argument("host")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def ssh(it: Lab, host: str, command: tuple[str, ...]) -> None:
    """Log in to a host as its user admin, or run a command there."""
    preflight.require_root()
    chosen(it.hosts, [host])
    if not it.ssh_config.exists():
        raise LabError(f"the lab {it.name} is not up: `fleet lab up` starts it")
    argv = remote.ssh(it.place, host, *command)
    sys.stdout.flush()
    os.execvp(argv[0], argv)  # noqa: S606 - it becomes ssh, with its terminal and exit code


@lab.command()
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.pass_obj
def reset(it: Lab, hosts: tuple[str, ...]) -> None:
    """Make hosts (default: all) as new: all that was done on them is gone."""
    it.reset(hosts)
    _show(it.status())


@lab.command()
@click.argument("tag", default=DEFAULT_TAG)
@click.pass_obj
def snapshot(it: Lab, tag: str) -> None:
    """Keep the state of all hosts under a tag."""
    it.snapshot(tag)


@lab.command()
@click.argument("tag", default=DEFAULT_TAG)
@click.pass_obj
def restore(it: Lab, tag: str) -> None:
    """Go back to a snapshot, and start its hosts."""
    it.restore(tag)
    _show(it.status())


@lab.command()
@click.pass_obj
def down(it: Lab) -> None:
    """Stop all hosts and clean up; `up` continues where they were."""
    it.down()


@lab.command()
@click.pass_obj
def destroy(it: Lab) -> None:
    """Stop all hosts and forget them and their snapshots; the images stay cached."""
    it.destroy()


@lab.command()
@click.argument("host")
@click.pass_obj
def poweroff(it: Lab, host: str) -> None:
    """Pull a host's plug."""
    it.poweroff(host)


@lab.command()
@click.argument("host")
@click.pass_obj
def poweron(it: Lab, host: str) -> None:
    """Start a host that is off."""
    it.poweron(host)


lab.add_command(tailnet)


def _show(hosts: list[HostStatus]) -> None:
    table = Table("host", "state", "image", "lan", "tailnet", "port", "memory")
    for host in hosts:
        style = STATE_STYLES[host.state]
        memory = f"{host.memory_mb} MB" if host.memory_mb is not None else ""
        state = f"[{style}]{host.state}[/]"
        table.add_row(host.name, state, host.kind, host.lan, host.tailnet, str(host.port), memory)
    Console(highlight=False).print(table)
