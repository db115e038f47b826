"""`fleet lab tailnet …`: what Tailscale's admin console is for, in the lab."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from lab.errors import LabError
from lab.tailnet.nodes import DAY_S

if TYPE_CHECKING:
    from lab.api import Lab


@click.group()
def tailnet() -> None:
    """The lab's tailnet, as its admin console would show and change it."""


@tailnet.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def nodes(it: Lab, as_json: bool) -> None:
    """Show who is in the tailnet."""
    found = it.tailnet.nodes()
    if as_json:
        click.echo(json.dumps([asdict(node) for node in found], indent=2))
        return
    table = Table("name", "on", "address", "whose", "login ends")
    for node in found:
        whose = ", ".join(node.tags) or node.owner
        days = (
            "never" if node.expires is None else f"in {(node.expires - time.time()) / DAY_S:.0f} d"
        )
        on = f"{node.host}{'' if node.online else ' (offline)'}"
        table.add_row(node.name, on, node.ipv4, whose, days)
    Console(highlight=False).print(table)


@tailnet.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def policy(it: Lab, file: Path) -> None:
    """Put a policy file into force; `none` allows everything again."""
    if str(file) == "none":
        it.tailnet.policy(None)
        return
    try:
        lines = [line for line in file.read_text().splitlines() if line.strip()[:2] != "//"]
        it.tailnet.policy(json.loads("\n".join(lines)))
    except OSError as error:
        raise LabError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise LabError(f"{file} is no JSON (comments are whole lines here): {error}") from error


@tailnet.command()
@click.argument("name")
@click.pass_obj
def remove(it: Lab, name: str) -> None:
    """Delete a node; its host has to log in again."""
    it.tailnet.remove(name)


@tailnet.command("expire-node")
@click.argument("name")
@click.argument("days", type=float)
@click.pass_obj
def expire_node(it: Lab, name: str, days: float) -> None:
    """Let a node's login end in DAYS; 0 is now."""
    it.tailnet.expire_node(name, days)


@tailnet.command("expire-key")
@click.pass_obj
def expire_key(it: Lab) -> None:
    """Let the auth key be one that has expired."""
    it.tailnet.expire_key()


@tailnet.command("new-key")
@click.pass_obj
def new_key(it: Lab) -> None:
    """Make another auth key, and say which file it is in."""
    it.tailnet.new_key()
    click.echo(str(it.tailnet.auth_key))
