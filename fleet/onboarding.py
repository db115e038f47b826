"""How far each host has come on its way into the fleet, and what is the next thing to do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from fleet.doctor.access import known
from fleet.doctor.hosts import login
from fleet.lock import LockedHost
from fleet.model import Host, Power
from fleet.reach import answers
from fleet.status import AT_ONCE, State, status
from fleet.target import Target


class Stage(StrEnum):
    """The last thing that a host does; each one does all before it, but for the first two."""

    NEW = "never seen"
    OFF = "off"
    ANSWERS = "answers SSH"
    PINNED = "host key pinned"
    LOGS_IN = "logs in"
    ROOT = "becomes root"
    CHANGES = "changes pending"
    CONVERGED = "converged"


@dataclass(frozen=True)
class Progress:
    """One host: how far it is, why no further, and what to do next."""

    host: str
    stage: Stage
    says: str = ""
    todo: str = ""

    @property
    def is_done(self) -> bool:
        """Whether it is a member as fleet.yaml describes it."""
        return self.stage is Stage.CONVERGED


def onboarding(target: Target) -> tuple[Progress, ...]:
    """Every host in the order of fleet.yaml, all at once; two SSH connections each at most."""
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return tuple(pool.map(lambda host: progress(host, target), target.fleet.hosts))


def progress(host: Host, target: Target) -> Progress:
    """How far one host is. Never raises for what is wrong with the host."""
    if not answers(host, target):
        return _silent(host, target)
    if target.known_hosts is None and not _pinned(host, target):
        todo = f"fleet trust {host.name} --fingerprint …, as its script prints it"
        return Progress(host.name, Stage.ANSWERS, "its host key is not pinned", todo)
    found = login(host, target)
    again = f"fleet bootstrap {host.name}, and run its script there"
    if not found.logs_in:
        todo = found.check.fix if "fleet trust" in found.check.fix else again
        return Progress(host.name, Stage.PINNED, found.check.says, todo)
    if not found.root:
        return Progress(host.name, Stage.LOGS_IN, found.check.says, again)
    return _converged(host, target)


def _silent(host: Host, target: Target) -> Progress:
    if target.lock.hosts.get(host.name, LockedHost()) == LockedHost():
        todo = f"fleet bootstrap {host.name}, and run its script at its console"
        return Progress(host.name, Stage.NEW, "no SSH server answers", todo)
    todo = "turn it on" if host.power is Power.ALWAYS_ON else f"fleet wake {host.name}"
    return Progress(host.name, Stage.OFF, "no SSH server answers", todo)


def _pinned(host: Host, target: Target) -> bool:
    return bool(target.lock.host_keys(host.name)) or known(target, host.name)


def _converged(host: Host, target: Target) -> Progress:
    seen = status(target, host.name)
    if seen.state is State.CONVERGED:
        return Progress(host.name, Stage.CONVERGED)
    if seen.state is State.CHANGES:
        says = f"{len(seen.differences)} differences"
        return Progress(host.name, Stage.CHANGES, says, f"fleet apply --limit {host.name}")
    return Progress(
        host.name, Stage.ROOT, seen.error, f"fleet status; then fleet plan --limit {host.name}"
    )
