"""Taking an operator out: of fleet.yaml, and of every file on a host that names them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from fleet.edit import cut
from fleet.model import Fleet, Operator, Power, load_fleet
from fleet.plan import view_of, wanted
from fleet.problems import FleetError, suggest
from fleet.resources import File
from fleet.ssh import as_root, route
from fleet.target import Target
from operations.shell import digest

CAPABILITY = "operators"
TIMEOUT_S = 30.0


class Outcome(StrEnum):
    """What became of the keys on a host."""

    REMOVED = "removed"
    PENDING = "pending"  # it is off, which it may be; its next run removes them
    REMAIN = "NOT removed"


@dataclass(frozen=True)
class HostOutcome:
    """One host, and why if the keys are not gone there."""

    host: str
    outcome: Outcome
    reason: str = ""


def operator(fleet: Fleet, name: str) -> Operator:
    """The operator of that name. Raises FleetError with a guess when there is none."""
    for one in fleet.operators:
        if one.name == name:
            return one
    fix = suggest(name, [one.name for one in fleet.operators])
    raise FleetError.of("fleet.yaml", f"no operator is called {name}", fix, key="operators")


def refuse_lockout(target: Target, leaving: Operator) -> None:
    """Raise FleetError when nobody could log in afterwards, or we could not."""
    if len(target.fleet.operators) == 1:
        fault = f"{leaving.name} is the only operator: nobody could log in any more"
        raise FleetError.of("fleet.yaml", fault, "add another operator first", key="operators")
    theirs = {_blob(key) for key in leaving.ssh_keys}
    for host in target.fleet.hosts:
        own = Path(host.ssh.key or "").expanduser().with_suffix(".pub") if host.ssh.key else None
        if own and own.is_file() and _blob(own.read_text()) in theirs:
            fault = f"{host.name} is reached with {leaving.name}'s key ({own.with_suffix('')})"
            raise FleetError.of("fleet.yaml", fault, "name another `ssh.key` first", key="ssh")


def _blob(key: str) -> str:
    """The key itself: type and base64, without comment."""
    return " ".join(key.split()[:2])


def strike(path: Path, name: str) -> None:
    """Remove the operator's lines from the fleet file; everything else stays byte for byte.

    Raises FleetError, with the file as it was, when that would change anything else.
    """
    before = load_fleet(path)
    left = tuple(one for one in before.operators if one.name != name)
    cut(path, "operators", name, before.model_copy(update={"operators": left}))


def naming(target: Target, name: str) -> Mapping[str, Mapping[str, tuple[File, ...]]]:
    """Host → capability → its files that name the operator, as they are to be without them.

    That is their keys everywhere, the orchestrator's list of who may use its page, and to whom
    backups are encrypted: whatever is rendered otherwise without the operator.
    """
    left = tuple(one for one in target.fleet.operators if one.name != name)
    after = replace(target, fleet=target.fleet.model_copy(update={"operators": left}))
    return {host.name: _differing(target, after, host.name) for host in target.fleet.hosts}


def _differing(before: Target, after: Target, host: str) -> dict[str, tuple[File, ...]]:
    known = {file for want in wanted(view_of(before, host)).values() for file in want.files}
    return {
        name: files
        for name, want in wanted(view_of(after, host)).items()
        if (files := tuple(file for file in want.files if file not in known))
    }


def verify(
    target: Target,
    named: Mapping[str, Mapping[str, tuple[File, ...]]],
    errors: Mapping[str, str],
) -> tuple[HostOutcome, ...]:
    """Whether each host has the files of `naming` as they shall be; it is asked itself.

    `errors` says what went wrong where in the run before: a service may not know of its new file.
    """
    with ThreadPoolExecutor(max_workers=len(named)) as pool:
        return tuple(
            pool.map(lambda name: _verify(target, name, named[name], errors.get(name, "")), named)
        )


def _verify(
    target: Target, name: str, named: Mapping[str, tuple[File, ...]], error: str
) -> HostOutcome:
    host = target.fleet.host(name)
    if CAPABILITY not in named:
        return HostOutcome(name, Outcome.REMAIN, f"it is `without` {CAPABILITY}: remove them there")
    files = [file for some in named.values() for file in some]
    asked = "\n".join(f"digest {shlex.quote(file.path)}" for file in files)
    answer = as_root(route(host, target), f"{digest(mac=host.is_mac)}\n{asked}\n", TIMEOUT_S)
    if answer.nobody_there and host.power is not Power.ALWAYS_ON:
        return HostOutcome(name, Outcome.PENDING, "it is off; the next run that reaches it does it")
    if answer.code:
        return HostOutcome(name, Outcome.REMAIN, answer.stderr or f"exit code {answer.code}")
    found = answer.stdout.split()
    wrong = [file.path for file in files if file.sha256 not in found]
    if wrong:
        return HostOutcome(name, Outcome.REMAIN, f"not as it should be: {', '.join(wrong)}")
    return HostOutcome(name, Outcome.REMAIN if error else Outcome.REMOVED, error)
