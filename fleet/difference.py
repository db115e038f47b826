"""What a change of the truth changes on hosts, by rendering twice; and whether they have it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from fleet.model import Power
from fleet.plan import view_of, wanted
from fleet.resources import File
from fleet.ssh import as_root, route
from fleet.target import Target
from operations.shell import digest

TIMEOUT_S = 30.0
Differing = Mapping[str, tuple[File, ...]]  # capability → its files that are rendered otherwise


class Outcome(StrEnum):
    """What became of somebody's traces on a host."""

    REMOVED = "removed"
    PENDING = "pending"  # it is off, which it may be; its next run removes them
    REMAIN = "NOT removed"


@dataclass(frozen=True)
class HostOutcome:
    """One host, and why if they are not gone there."""

    host: str
    outcome: Outcome
    reason: str = ""


def differing(before: Target, after: Target) -> Mapping[str, Differing]:
    """Host → what it is to have otherwise after a change; for every host that is there then."""
    return {host.name: _of_host(before, after, host.name) for host in after.fleet.hosts}


def _of_host(before: Target, after: Target, host: str) -> dict[str, tuple[File, ...]]:
    was = wanted(view_of(before, host))
    known = {file for want in was.values() for file in want.files}
    return {
        name: tuple(file for file in want.files if file not in known)
        for name, want in wanted(view_of(after, host)).items()
        if want != was.get(name)
    }


def verify(
    target: Target,
    meant: Mapping[str, Differing],
    errors: Mapping[str, str],
    lacks: Callable[[Differing], str] = lambda _: "",
) -> tuple[HostOutcome, ...]:
    """Whether each host has these files as they shall be; it is asked itself.

    `errors` says what went wrong where in the run before: a service may not know of its new file.
    `lacks` says why what is meant for a host is not enough; empty: it is.
    """

    def judge(name: str) -> HostOutcome:
        if reason := lacks(meant[name]):
            return HostOutcome(name, Outcome.REMAIN, reason)
        return _judge(target, name, meant[name], errors.get(name, ""))

    with ThreadPoolExecutor(max_workers=max(1, len(meant))) as pool:
        return tuple(pool.map(judge, meant))


def _judge(target: Target, name: str, meant: Differing, error: str) -> HostOutcome:
    host = target.fleet.host(name)
    files = [file for some in meant.values() for file in some]
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
