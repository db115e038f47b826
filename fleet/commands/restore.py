"""`fleet restore`: brings a backup of the orchestrator's databases back, decrypted here."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import click

from deploys import dispatch
from fleet import complete, orchestrator
from fleet.commands.session import Session, examples, pass_session
from fleet.model import Host
from fleet.plan import view_of
from fleet.problems import FleetError, printable, show
from fleet.ssh import converse, route
from fleet.target import Target

SUFFIX = ".tar.gz.age"
KEYS = ("~/.ssh/id_ed25519", "~/.ssh/id_rsa")  # those that age takes, as ssh names them
FETCH_S = 1800.0
DOUBTFUL = (
    "{count} of the tasks waited when it was made, and may have been done since: they are lost "
    "until somebody says that they are done, or tries them again (fleet task list --state lost)"
)


@click.command(
    epilog=examples(
        "fleet restore --list",
        "fleet restore                      the newest one; asks",
        "fleet restore --from berry --backup orchestrator-20261126-034000.tar.gz.age --yes",
    )
)
@click.option(
    "--from",
    "source",
    metavar="HOST",
    shell_complete=complete.hosts,
    help="The host that keeps them, if another now.",
)
@click.option("--list", "listed", is_flag=True, help="Only say which backups there are.")
@click.option("--backup", "name", metavar="NAME", help="This one instead of the newest.")
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An operator's private SSH key; default: the usual ones in ~/.ssh.",
)
@click.option("--force", is_flag=True, help="Though tasks that are newer would be lost.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def restore(
    session: Session,
    source: str | None,
    listed: bool,
    name: str | None,
    keys: tuple[Path, ...],
    force: bool,
    yes: bool,
) -> int:
    """Bring the newest backup back: the orchestrator's tasks, what was spent, who was reported.

    On an orchestrator that is new, run `pyinfra inventory.py deploy.py` first. Backups are
    encrypted for the operators; this decrypts them here, with your private key, which stays here.
    It takes the program `age`. What was there before stays beside as NAME.before-restore. A task
    that waited then may have been done since: it is not sent again by itself.
    """
    target = session.target()
    keeper = _keeper(target, source)
    there = _names(target, keeper)
    if listed:
        click.echo("\n".join(map(printable, there)) if there else f"none on {keeper.name}")
        return 0
    chosen = _chosen(keeper, there, name)
    content = decrypted(_fetch(target, keeper, chosen), _private(keys))
    boss = target.fleet.orchestrator.name
    if not yes:
        click.confirm(f"put {chosen} of {keeper.name} in place on {boss}?", abort=True)
    said = orchestrator.as_root_there(target, ("restore", *(["--force"] * force)), content)
    click.echo(f"{boss}: {', '.join(said['restored'])} are as they were in {chosen}")
    if said.get("doubtful"):
        click.echo(DOUBTFUL.format(count=said["doubtful"]))
    return 0


def _keeper(target: Target, source: str | None) -> Host:
    if source is not None:
        return target.fleet.host(source)
    if (found := target.fleet.backup_host) is None:
        raise FleetError.of("restore", "no host of the fleet keeps backups", "say --from HOST")
    return found


def _names(target: Target, keeper: Host) -> list[str]:
    """The backups, the oldest first: their names begin with their time."""
    folder = shlex.quote(dispatch.backups_dir(view_of(target, keeper.name)))
    said = _ask(target, keeper, f"[ ! -d {folder} ] || ls -1 {folder}").decode(errors="replace")
    return sorted(one for one in said.splitlines() if one.endswith(SUFFIX))


def _chosen(keeper: Host, there: list[str], name: str | None) -> str:
    if not there:
        fix = "say where they are: --from HOST"
        raise FleetError.of(keeper.name, "keeps no backup", fix)
    if name is not None and name not in there:
        fault = f"has no backup {show(name)}"
        raise FleetError.of(keeper.name, fault, f"there are: {', '.join(there)}")
    return name or there[-1]


def _fetch(target: Target, keeper: Host, name: str) -> bytes:
    folder = dispatch.backups_dir(view_of(target, keeper.name))
    return _ask(target, keeper, f"cat {shlex.quote(f'{folder}/{name}')}")


def _ask(target: Target, host: Host, command: str) -> bytes:
    said: list[bytes] = []
    answer = converse(route(host, target), command, b"", FETCH_S, said.append)
    if answer.code:
        raise FleetError.of(host.name, answer.stderr or f"ended with {answer.code}", "")
    return b"".join(said)


def _private(stated: tuple[Path, ...]) -> tuple[Path, ...]:
    usual = (Path(one).expanduser() for one in KEYS)
    if found := stated or tuple(one for one in usual if one.is_file()):
        return found
    fix = "say which: --key FILE"
    raise FleetError.of("restore", "there is no private key in ~/.ssh that age takes", fix)


def decrypted(content: bytes, keys: tuple[Path, ...]) -> bytes:
    """What one of the keys opens; `age` asks for a passphrase itself. Raises FleetError."""
    words = [word for key in keys for word in ("-i", str(key))]
    try:
        run = subprocess.run(
            ["age", "--decrypt", *words], input=content, capture_output=True, check=False
        )
    except FileNotFoundError:
        fix = "install it: apt install age, brew install age, pacman -S age"
        raise FleetError.of("restore", "there is no `age` here to decrypt with", fix) from None
    if run.returncode:
        fault = f"age: {printable(run.stderr.decode(errors='replace').strip())}"
        raise FleetError.of("restore", fault, "use the key of an operator of then: --key FILE")
    return run.stdout
