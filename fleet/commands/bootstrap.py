"""`fleet bootstrap`: the script for a fresh machine's console, and how far each host has come."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fleet import complete
from fleet.bootstrap import Script, locked_out, login_keys, script_for
from fleet.commands.session import Session, console, examples, json_option, pass_session, print_json
from fleet.exits import Exit, worst
from fleet.firstboot import FirstBoot, first_boot_files
from fleet.handout import WINDOW_S, Offer, local, one_line, own_address
from fleet.onboarding import Progress, Stage, onboarding
from fleet.plan import view_of
from fleet.problems import FleetError, WrongUsageError, printable
from fleet.progress import waiting

if TYPE_CHECKING:
    from fleet.model import Host
    from fleet.target import Target
    from fleet.view import HostView

SUMS = "SHA256SUMS"
_STYLE = {Stage.CONVERGED: "green", Stage.OFF: "cyan", Stage.NEW: "red"}


@click.command(
    epilog=examples(
        "fleet bootstrap berry > berry.sh   then there: sudo sh berry.sh",
        "fleet bootstrap berry --serve      prints the line to type there",
        "fleet bootstrap --all --out /media/stick",
        "fleet bootstrap berry --first-boot cloud-init --out /media/bootfs",
        "fleet bootstrap --status",
    )
)
@click.argument("name", metavar="[HOST]", required=False, shell_complete=complete.hosts)
@click.option("--all", "everywhere", is_flag=True, help="The scripts of all hosts; with --out.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write files there instead of printing.",
)
@click.option("--serve", is_flag=True, help="Offer it on the LAN for ten minutes.")
@click.option(
    "--times",
    type=click.IntRange(min=1),
    metavar="N",
    default=1,
    show_default=True,
    help="With --serve: end when it was fetched so often.",
)
@click.option("--address", metavar="IP", help="With --serve: this machine's address to serve at.")
@click.option(
    "--first-boot",
    type=click.Choice([one.value for one in FirstBoot]),
    help="Files for the boot partition of a Raspberry Pi's card; with --out.",
)
@click.option("--status", "asked", is_flag=True, help="Show how far each host has come.")
@json_option
@pass_session
def bootstrap(
    session: Session,
    name: str | None,
    everywhere: bool,
    out: Path | None,
    serve: bool,
    times: int,
    address: str | None,
    first_boot: str | None,
    asked: bool,
    as_json: bool,
) -> int:
    """Print the script that makes a fresh machine ready to be HOST: run it once there, as root.

    It brings an SSH server, the login with its keys, root without a password, and on a Mac what a
    run cannot bring. It says all that is missing and what to do, refuses the wrong machine, and
    holds no secret. Run again it changes nothing; with --check it only says. At its end stands the
    line to type here next: fleet trust HOST --fingerprint ...

    Exit code: 0 done; with --serve 1 when nobody has fetched it; with --status 0 all are converged,
    2 some are on the way, 3 hosts are off that may be.
    """
    _make_sense(name, out, everywhere=everywhere, serve=serve, first_boot=first_boot, asked=asked)
    if as_json and not asked:
        raise WrongUsageError.of("--json", "a script is no JSON", "say --status, or leave it out")
    target = session.target()
    if asked:
        return _show(target, as_json=as_json)
    if everywhere and out:
        return _write_all(target, out)
    view = view_of(target, name or "")
    keys = _keys(view)
    if first_boot and out:
        return _write_first_boot(view, first_boot, keys, out)
    script = script_for(view, keys)
    if serve:
        return _serve(view.host, script, times, address)
    if out:
        _write(out, {script.name: script.text})
        return Exit.DONE
    click.echo(script.text, nl=False)
    return Exit.DONE


def _make_sense(
    name: str | None,
    out: Path | None,
    *,
    everywhere: bool,
    serve: bool,
    first_boot: str | None,
    asked: bool,
) -> None:
    """Raise WrongUsageError for words that do not go together."""
    command = "fleet bootstrap"
    if sum((name is not None, everywhere, asked)) != 1:
        raise WrongUsageError.of(command, "which host?", "name one, or say --all or --status")
    if sum((everywhere, serve, first_boot is not None, asked)) > 1:
        fix = "say one of --all, --serve, --first-boot, --status"
        raise WrongUsageError.of(command, "these are different things", fix)
    if (everywhere or first_boot) and out is None:
        raise WrongUsageError.of(command, "several files need a directory", "say --out DIR")
    if out is not None and (serve or asked):
        raise WrongUsageError.of("--out", "nothing is written", "leave it out")


def _keys(view: HostView) -> tuple[str, ...]:
    """The keys for the login; a word where this workstation would not get in by them."""
    keys = login_keys(view)
    if locked_out(view, keys):
        click.echo(
            f"{view.host.name}: none of the operators' keys is this workstation's own, so it will "
            "not get in: add its key under operators in fleet.yaml, or set ssh.key",
            err=True,
        )
    return keys


def _write_all(target: Target, out: Path) -> int:
    """Every script that there is, and their digests; a host without one is named."""
    texts, failed = {}, False
    sums = []
    for host in target.fleet.hosts:
        view = view_of(target, host.name)
        try:
            script = script_for(view, _keys(view))
        except FleetError as error:
            click.echo(str(error), err=True)
            failed = True
            continue
        texts[script.name] = script.text
        sums.append(f"{script.digest}  {script.name}\n")
    _write(out, {**texts, SUMS: "".join(sums)})
    return Exit.ERROR if failed else Exit.DONE


def _write_first_boot(view: HostView, how: str, keys: tuple[str, ...], out: Path) -> int:
    _write(out, first_boot_files(view, FirstBoot(how), keys))
    name = view.host.name
    click.echo(
        f"Put the card into {name}, start it, wait some minutes. Then: fleet trust {name}", err=True
    )
    return Exit.DONE


def _write(out: Path, texts: Mapping[str, str]) -> None:
    """Write files that everybody may read: no secret is in them. Raises FleetError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (out / name).write_text(text, encoding="utf-8", newline="")
            click.echo(str(out / name))
    except OSError as error:
        fault = f"{error.filename or out}: {error.strerror or error}"
        raise FleetError.of("fleet bootstrap", fault, "name another directory: --out") from None


def _serve(host: Host, script: Script, times: int, address: str | None) -> int:
    place = local(address) if address else own_address(host.addresses.lan or host.name)

    def heard(client: str) -> None:
        click.echo(f"fetched by {client}", err=True)

    with Offer(script, place, heard) as offer:
        minutes = f"{WINDOW_S / 60:g} minutes"
        click.echo(
            f"Type this at the console of {host.name}, within {minutes}; Ctrl-C ends:", err=True
        )
        click.echo(one_line(script, offer.url, mac=host.is_mac))
        sys.stdout.flush()
        if offer.wait(times):
            return Exit.DONE
    click.echo(f"nobody has fetched it within {minutes}", err=True)
    return Exit.ERROR


def _show(target: Target, *, as_json: bool) -> int:
    with waiting("asking the hosts", bar=False):
        found = onboarding(target)
    if as_json:
        print_json({"hosts": [asdict(one) for one in found]})
    else:
        _print(found)
    return worst(_exit(one, target) for one in found)


def _exit(one: Progress, target: Target) -> Exit:
    from fleet.model import Power

    if one.is_done:
        return Exit.DONE
    may_be_off = target.fleet.host(one.host).power is not Power.ALWAYS_ON
    return Exit.OFF if one.stage is Stage.OFF and may_be_off else Exit.CHANGES


def _print(found: tuple[Progress, ...]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("HOST", "HOW FAR", "WHY NO FURTHER", "NEXT"):
        table.add_column(column, overflow="fold")
    for one in found:
        style = _STYLE.get(one.stage, "yellow")
        said = (Text(printable(one.says)), Text(printable(one.todo)))
        table.add_row(one.host, Text(one.stage.value, style), *said)
    console().print(table)
