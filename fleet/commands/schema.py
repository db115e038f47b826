"""`fleet schema`: the JSON Schema of fleet.yaml, for editors."""

from __future__ import annotations

import click

from fleet.commands.session import examples, print_json
from fleet.schema import fleet_schema


@click.command(
    epilog=examples(
        "fleet schema > fleet.schema.json",
    )
)
def schema() -> None:
    """Print the JSON Schema of fleet.yaml.

    Editors with a YAML language server complete and check the file with it:
    `fleet schema > fleet.schema.json`, then associate the two in the editor's settings.
    """
    print_json(fleet_schema())
