"""Taking an operator out: of fleet.yaml, and of every file on a host that names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fleet.difference import Differing, differing
from fleet.edit import cut
from fleet.model import Fleet, Operator, load_fleet
from fleet.problems import FleetError, suggest
from fleet.target import Target

CAPABILITY = "operators"


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


def naming(target: Target, name: str) -> Mapping[str, Differing]:
    """Host → capability → its files that name the operator, as they are to be without them.

    That is their keys everywhere, the orchestrator's list of who may use its page, and to whom
    backups are encrypted: whatever is rendered otherwise without the operator.
    """
    left = tuple(one for one in target.fleet.operators if one.name != name)
    return differing(
        target, replace(target, fleet=target.fleet.model_copy(update={"operators": left}))
    )


def keeps_keys(meant: Differing) -> str:
    """Why a host goes on to take the operator's keys; empty when it does not."""
    if CAPABILITY in meant:
        return ""
    return f"it is `without` {CAPABILITY}: remove them there"
