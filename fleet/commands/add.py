"""`fleet add`: one more host in fleet.yaml."""

from __future__ import annotations

import click

from fleet import complete
from fleet.commands.session import Session, examples, json_option, pass_session, print_json
from fleet.edit import append
from fleet.entry import entry_of
from fleet.joining import joining
from fleet.kinds import Arch, Os, Power
from fleet.target import fleet_file
from fleet.yamlfile import display


def _words(kind: type[Os] | type[Arch] | type[Power]) -> str:
    return ", ".join(one.value for one in kind)


@click.command(
    epilog=examples(
        "fleet add berry --role pi --os raspios --lan 192.168.1.31",
        "fleet add tower --role windows-wsl --os debian --arch x86_64 --cores 16 --port 2222",
    )
)
@click.argument("host")
@click.option("--role", default="", shell_complete=complete.roles, help="What it is for.")
@click.option(
    "--os", default="", help=f"Its system: {_words(Os)}; default: the only one it can be."
)
@click.option("--arch", default="", help=f"Its machine: {_words(Arch)}; default: as for --os.")
@click.option("--cores", default="", metavar="N", help="Logical processors; default of a Pi: 4.")
@click.option("--lan", default="", metavar="ADDRESS", help="Its address on the LAN.")
@click.option("--power", default="", help=f"{_words(Power)}; default: always-on.")
@click.option("--site", default="", help="Where it stands; default: home.")
@click.option("--user", default="", help="Who logs in there, where that is somebody else.")
@click.option("--port", default="", metavar="N", help="Port of its SSH server, if not 22.")
@click.option("--hardware", default="", help="What it is, for people.")
@json_option
@pass_session
def add(session: Session, /, host: str, as_json: bool, **said: str) -> int:
    """Add HOST to fleet.yaml, at the end of its hosts; comments and order stay.

    Touches no host: prints what comes next. What is wrong leaves the file as it was.

    Exit code: 0 added, 1 it would not be valid.
    """
    session.target()  # what is wrong with the file already is said first
    found = append(fleet_file(), "hosts", host, entry_of(host, said)).host(host)
    left = joining(found)
    if as_json:
        print_json({"host": host, "next": left})
        return 0
    click.echo(f"{display(fleet_file())}: {host} is added")
    for step in left:
        click.echo(f"- {step}")
    return 0
