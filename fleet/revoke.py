"""Taking an operator out: of fleet.yaml, and of every file on a host that names them."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import yaml

from fleet.model import Fleet, Operator, Power, load_fleet
from fleet.plan import view_of, wanted
from fleet.problems import FleetError, suggest
from fleet.resources import File
from fleet.ssh import as_root, route
from fleet.target import Target
from fleet.yamlfile import display
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
    text, before = path.read_text(), load_fleet(path)
    lines = text.splitlines(keepends=True)
    first, behind = _span(text, name)
    left = tuple(one for one in before.operators if one.name != name)
    _write(path, "".join(lines[:first] + lines[behind:]))
    try:
        sound = load_fleet(path) == before.model_copy(update={"operators": left})
    except FleetError:
        sound = False
    if not sound:
        _write(path, text)
        fault = f"the entry of {name} cannot be taken out without changing something else"
        raise FleetError.of(display(path), fault, "remove it by hand and run again", line=first + 1)


def _span(text: str, name: str) -> tuple[int, int]:
    """The index of the entry's first line, and of the line behind its last one."""
    people = _value(yaml.compose(text, yaml.SafeLoader), "operators")
    for key, value in people.value if isinstance(people, yaml.MappingNode) else ():
        if key.value == name:
            return key.start_mark.line, _last_line(value) + 1
    raise AssertionError("the model knows an operator that its file has not")


def _value(node: yaml.Node | None, name: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == name), None)


def _last_line(node: yaml.Node) -> int:
    """The last line of a value; a block's end mark is where the next thing begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.line)


def _write(path: Path, text: str) -> None:
    """Replace the file at once and whole, with its mode."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(name).chmod(path.stat().st_mode & 0o777)
    Path(name).replace(path)


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
