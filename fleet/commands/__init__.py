"""The verbs of the `fleet` command, a file each; `fleet.cli` lists them."""
