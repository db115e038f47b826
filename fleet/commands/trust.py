"""`fleet trust`: pin the SSH host keys of hosts, once compared; prove the login by them."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

import click

from fleet import complete
from fleet.commands.session import Session, examples, json_option, pass_session, print_json
from fleet.doctor.check import Check
from fleet.doctor.check import Verdict as Judged
from fleet.doctor.hosts import login
from fleet.hostkeys import describe, fingerprint, pin, shown
from fleet.model import Host, Power
from fleet.problems import WrongUsageError, show
from fleet.ssh import route
from fleet.target import Target

ERROR, OFF = 1, 3


class Outcome(StrEnum):
    """What became of a host's key."""

    PINNED = "pinned"
    SAME = "pinned already"
    REFUSED = "refused"
    OFF = "off"


@dataclass(frozen=True)
class Verdict:
    """One host: the key in question (`TYPE BASE64`), and why if it is not pinned.

    `logs_in` says how the login by a pinned key went, and `todo` what to do where it did not.
    """

    host: str
    outcome: Outcome
    key: str = ""
    reason: str = ""
    logs_in: str = ""
    todo: str = ""


@click.command(
    epilog=examples(
        "fleet trust berry",
        "fleet trust berry --fingerprint SHA256:…   as its console shows it",
    )
)
@click.argument("names", metavar="HOST...", nargs=-1, required=True, shell_complete=complete.hosts)
@click.option("--fingerprint", "stated", metavar="SHA256:...", help="What the key has to be.")
@click.option("--yes", is_flag=True, help="Do not ask: believe what the network shows.")
@click.option("--replace", "may_replace", is_flag=True, help="Replace a key that has changed.")
@json_option
@pass_session
def trust(
    session: Session,
    names: tuple[str, ...],
    stated: str | None,
    yes: bool,
    may_replace: bool,
    as_json: bool,
) -> int:
    """Pin the SSH host key of each HOST in fleet.lock.yaml: it is believed with that key alone.

    Fetches the key, shows its fingerprint and asks. Compare it with what the host says at its own
    console: ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub. The script of `fleet bootstrap`
    prints this command with it. Then logs in by that key and becomes root, as runs will.

    Exit code: 0 pinned, and a run gets in; 1 a key was refused, a host does not answer or lets
    nobody in; 3 hosts are off that may be.
    """
    target = session.target()
    if target.known_hosts is not None:
        click.echo("the lab pins the keys of its hosts itself: nothing to do", err=True)
        if as_json:
            print_json({"hosts": []})
        return 0
    hosts = [target.fleet.host(name) for name in dict.fromkeys(names)]
    if stated and len(hosts) > 1:
        fix = "call it once for each host"
        raise WrongUsageError.of("--fingerprint", "several hosts cannot have one key", fix)
    found = [*_all(hosts, target, _wanted(stated), may_replace=may_replace)]
    new = [one for one in found if one.outcome is Outcome.PINNED]
    if new and not (yes or stated or sys.stdin.isatty()):
        known = "; ".join(f"{one.host}: {describe(one.key)}" for one in new)
        fix = f"say --fingerprint or --yes ({known})"
        raise WrongUsageError.of("fleet trust", "nobody is there to compare fingerprints", fix)
    found = [_settle(one, target, ask=not (yes or stated)) for one in found]
    found = _proved(found, session.target())
    _report(found, as_json=as_json)
    return _exit_code(found, target)


def _wanted(stated: str | None) -> str:
    """The fingerprint that is stated, in the form in which ours are; empty without one."""
    if stated is None:
        return ""
    digest = stated.strip().removeprefix("SHA256:").rstrip("=")
    if len(digest) != 43:
        fix = "ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub prints it: SHA256:..."
        raise WrongUsageError.of("--fingerprint", f"{show(stated)} is no fingerprint", fix)
    return f"SHA256:{digest}"


def _all(
    hosts: list[Host], target: Target, wanted: str, *, may_replace: bool
) -> tuple[Verdict, ...]:
    """Judge what every host shows, all at once; nothing is written."""

    def judge(host: Host) -> Verdict:
        way = route(host, target)
        keys = shown(way.address, way.port)
        if not keys:
            where = f"{way.address} port {way.port}"
            return Verdict(host.name, Outcome.OFF, reason=f"no SSH server answers at {where}")
        pinned = target.lock.host_keys(host.name)
        return judged(host.name, keys, pinned, wanted, may_replace=may_replace)

    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        return tuple(pool.map(judge, hosts))


def judged(
    name: str, keys: tuple[str, ...], pinned: tuple[str, ...], wanted: str, *, may_replace: bool
) -> Verdict:
    """What to do with the keys that a host shows (the preferred first, at least one)."""
    key = next((one for one in keys if fingerprint(one) == wanted), "") if wanted else keys[0]
    if not key:
        reason = f"it shows {', '.join(map(describe, keys))}, not {wanted}"
        return Verdict(name, Outcome.REFUSED, reason=reason)
    known = next((one for one in keys if one in pinned), "")
    if known and (not wanted or known == key):
        return Verdict(name, Outcome.SAME, known)
    if pinned and not may_replace:
        reason = (
            f"its key was {', '.join(map(describe, pinned))} and is now {describe(key)}: make sure "
            "why it changed, then say --replace"
        )
        return Verdict(name, Outcome.REFUSED, key, reason)
    return Verdict(name, Outcome.PINNED, key)


def _settle(one: Verdict, target: Target, *, ask: bool) -> Verdict:
    """Ask if somebody has to, and write."""
    if one.outcome is not Outcome.PINNED:
        return one
    question = f"{one.host} shows {describe(one.key)}\nIs that its key?"
    if ask and not click.confirm(question, err=True):
        return replace(one, outcome=Outcome.REFUSED, reason="its key was not confirmed")
    pin(target.lock_file, one.host, one.key)
    return one


def _proved(found: list[Verdict], target: Target) -> list[Verdict]:
    """Log in to every host whose key is pinned, all at once, and say how that went."""

    def prove(one: Verdict) -> Verdict:
        if one.outcome not in (Outcome.PINNED, Outcome.SAME):
            return one
        check = login(target.fleet.host(one.host), target).check
        return replace(one, logs_in=check.says, todo=_remedy(one.host, check))

    with ThreadPoolExecutor(max_workers=len(found)) as pool:
        return [*pool.map(prove, found)]


def _remedy(name: str, check: Check) -> str:
    """What to do; empty where nothing is."""
    if check.verdict is Judged.OK:
        return ""
    return f"run there what `fleet bootstrap {name}` prints; or {check.fix}"


def _report(found: list[Verdict], *, as_json: bool) -> None:
    if as_json:
        print_json({"hosts": [_as_dict(one) for one in found]})
        return
    for one in found:
        key = f": {describe(one.key)}" if one.key and not one.reason else ""
        reason = f": {one.reason}" if one.reason else ""
        click.echo(f"{one.host}: {one.outcome}{key}{reason}", err=bool(one.reason))
        if one.logs_in:
            click.echo(f"{one.host}: {one.logs_in}", err=bool(one.todo))
        if one.todo:
            click.echo(f"    {one.todo}", err=True)


def _as_dict(one: Verdict) -> dict[str, str]:
    return {**asdict(one), "fingerprint": fingerprint(one.key) if one.key else ""}


def _exit_code(found: list[Verdict], target: Target) -> int:
    failed = [one for one in found if one.todo or one.outcome in (Outcome.REFUSED, Outcome.OFF)]
    if not failed:
        return 0
    may_be_off = all(
        one.outcome is Outcome.OFF and target.fleet.host(one.host).power is not Power.ALWAYS_ON
        for one in failed
    )
    return OFF if may_be_off else ERROR
