"""`fleet doctor`: why the fleet cannot be worked on from this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fleet.commands.session import Session, examples, json_option, pass_session, print_json
from fleet.doctor import access, files, hosts, machine
from fleet.doctor.check import Check, Verdict, guarded, skipped
from fleet.problems import FleetError
from fleet.progress import waiting

if TYPE_CHECKING:
    from fleet.target import Target

ERROR = 1
ROOT = Path(__file__).resolve().parent.parent.parent
_STYLE = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAULT: "red"}


@click.command(
    epilog=examples(
        "fleet doctor",
        "fleet doctor --offline  this machine and the files alone",
        "fleet doctor --secrets  also asks the password manager",
    )
)
@click.option("--offline", is_flag=True, help="Ask no host, and nothing in the network.")
@click.option("--secrets", is_flag=True, help="Run the commands that secrets come from, too.")
@json_option
@pass_session
def doctor(session: Session, offline: bool, secrets: bool, as_json: bool) -> int:
    """Find what is wrong: with this machine, the fleet's files, the way to each host.

    Changes nothing. Each row says how it is and, where it is not right, the next command to type.
    One SSH connection a host. A secret is asked for, and never shown.

    Exit code: 0 nothing is in the way (warnings may be), 1 something is.
    """
    found = list(examine(session, offline=offline, commands=secrets))
    faults = [one for one in found if one.verdict is Verdict.FAULT]
    if as_json:
        print_json({"ok": not faults, "checks": [asdict(one) for one in found]})
    else:
        _show(found)
    return ERROR if faults else 0


def examine(session: Session, *, offline: bool, commands: bool) -> Iterator[Check]:
    """Every check, in the order in which things depend on each other."""
    yield from guarded("Python", lambda: machine.python(ROOT))
    yield from guarded("packages", lambda: machine.packages(ROOT))
    yield from guarded("pyinfra", machine.pyinfra)
    yield from guarded("terminal", machine.terminal)
    target, told = _target(session)
    yield from told
    yield from guarded("git", _committed)
    yield from guarded("cache", lambda: files.cache(target))
    yield from _needing(target, "secrets", lambda t: files.secrets(t, commands=commands))
    yield from guarded("ssh", access.program)
    yield from guarded("~/.ssh", lambda: access.folder(Path.home()))
    yield from _needing(target, "keys", lambda t: access.keys(t, Path.home()))
    yield from _needing(target, "host keys", access.host_keys)
    yield from guarded("tailscale", lambda: hosts.tailnet(target, offline=offline))
    if offline:
        yield skipped("hosts", "not asked: --offline")
        return
    with waiting("asking the hosts", bar=False):
        yield from _needing(target, "hosts", hosts.hosts)


def _target(session: Session) -> tuple[Target | None, list[Check]]:
    """What the files say, if they can be read at all."""
    try:
        target = session.target()
    except FleetError as error:
        broken = error
        return None, guarded("fleet.yaml", lambda: files.undescribed(broken))
    except Exception as error:  # a package that is missing or broken
        said = f"{type(error).__name__}: {error}"
        return None, guarded("fleet.yaml", lambda: _cannot(said))
    return target, guarded("fleet.yaml", lambda: files.described(target))


def _cannot(said: str) -> Iterator[Check]:
    yield Check("fleet.yaml", Verdict.FAULT, f"cannot be read: {said}", machine.VENV)


def _committed() -> Iterator[Check]:
    from fleet.lock import lock_path
    from fleet.target import artifacts_file, fleet_file

    path = fleet_file().absolute()
    own = (path, lock_path(path))
    pins = artifacts_file()
    return files.committed((*own, pins) if pins.parent == path.parent else own)


def _needing(
    target: Target | None, what: str, look: Callable[[Target], Iterable[Check]]
) -> list[Check]:
    """A check that needs the fleet."""
    if target is None:
        return [skipped(what, "not known before the files are mended")]
    return guarded(what, lambda: look(target))


def _show(found: list[Check]) -> None:
    """A table without a package: what draws tables may be what is broken."""
    width = max(len(one.what) for one in found)
    for one in found:
        word = click.style(f"{one.verdict.value:7}", fg=_STYLE.get(one.verdict))
        click.echo(f"{word}  {one.what:{width}}  {one.says}")
        if one.fix:
            click.echo(f"{'':7}  {'':{width}}  \u2192 {one.fix}")
    faults, warnings = (
        sum(one.verdict is kind for one in found) for kind in (Verdict.FAULT, Verdict.WARNING)
    )
    click.echo(
        f"{_count(len(found), 'check')}: {_count(faults, 'fault')}, {_count(warnings, 'warning')}"
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
