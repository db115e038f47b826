"""`fleet completion`: what a shell needs to complete this command."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from fleet.commands.session import examples

SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog=examples(
        """eval "$(fleet completion bash)"                 in ~/.bashrc, with bash 4.4 or newer""",
        """eval "$(fleet completion zsh)"                  in ~/.zshrc, behind compinit""",
        "fleet completion fish > ~/.config/fish/completions/fleet.fish",
    )
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script by which a shell completes verbs, options, hosts, roles and services."""
    root = click.get_current_context().find_root()
    found = get_completion_class(shell)
    if found is None:
        raise AssertionError("click knows them all")
    name = root.info_name or "fleet"
    click.echo(found(root.command, {}, name, f"_{name.upper()}_COMPLETE").source())
