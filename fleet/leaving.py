"""Taking a host out: who may leave, what its agent still does, and every trace of it elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from fleet import orchestrator
from fleet.difference import Differing, differing
from fleet.edit import cut
from fleet.hostkeys import forget_known_hosts
from fleet.lock import read_fleet_lock, write_fleet_lock
from fleet.model import Host, load_fleet
from fleet.problems import FleetError, Problem
from fleet.target import Target, fleet_file
from fleet.workstation import state_dir

BUSY = ("reserved", "running")
PAUSE_S = 5.0  # between two looks at what a host still works on
MOST = 200  # tasks in one answer


@dataclass(frozen=True)
class Leaving:
    """A host that leaves. `begun`: an earlier call has taken it out of fleet.yaml already."""

    host: Host
    wiped: bool = False
    begun: bool = False

    @classmethod
    def of(cls, target: Target, name: str) -> Leaving:
        """The host of that name, or the one that has begun to leave. Raises FleetError."""
        if name in {host.name for host in target.fleet.hosts}:
            return cls(target.fleet.host(name))
        with suppress(OSError, ValueError, KeyError, ValidationError):
            noted = json.loads(_note(target, name).read_text(encoding="utf-8"))
            return cls(Host.model_validate(noted["host"]), bool(noted["wiped"]), begun=True)
        return cls(target.fleet.host(name))  # raises, with a guess

    def note(self, target: Target) -> None:
        """Keep what it was, so that a call that is cut off can be finished by another one."""
        said = {"host": self.host.model_dump(mode="json"), "wiped": self.wiped}
        path = _note(target, self.host.name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(json.dumps(said), encoding="utf-8")

    def with_it(self, target: Target) -> Target:
        """The truth as it was while the host was there."""
        if not self.begun:
            return target
        hosts = (*target.fleet.hosts, self.host)
        return replace(target, fleet=target.fleet.model_copy(update={"hosts": hosts}))

    def traces(self, target: Target) -> Mapping[str, Differing]:
        """Host → what it has otherwise without this one; hosts that know nothing of it are out."""
        before = self.with_it(target)
        left = tuple(one for one in before.fleet.hosts if one.name != self.host.name)
        after = replace(before, fleet=before.fleet.model_copy(update={"hosts": left}))
        found = differing(before, after)
        return {name: meant for name, meant in found.items() if meant}


def _note(target: Target, name: str) -> Path:
    return state_dir(target) / "leaving" / f"{name}.json"


def refuse_pillar(target: Target, host: Host) -> None:
    """Raise FleetError when others stand on the host, with what has to be done first."""
    fleet = target.fleet
    found = []
    if host == fleet.orchestrator:
        fix = "make another one the orchestrator first: docs/lifecycle.md, A new orchestrator"
        found.append(("role", "is the orchestrator", fix))
    elif host.name == fleet.scheduler:
        fix = "name another host as `scheduler:`, or none; `fleet apply`; then again"
        found.append(("scheduler", "hands out the compile jobs", fix))
    if host == fleet.backup_host:
        fix = "name another host as `backup:`; `fleet apply`; then again"
        found.append(("backup", "keeps the orchestrator's backups", fix))
    if fleet.is_relay(host):
        fix = f"name another host as the relay of {host.site}, or none; `fleet apply`; then again"
        found.append((f"relays.{host.site}", "is its site's relay", fix))
    if found:
        raise FleetError(
            Problem("fleet.yaml", 0, key, f"{host.name} {fault}", fix) for key, fault, fix in found
        )


def drain(target: Target, host: Host, *, now: bool, say: Callable[[str], None]) -> tuple[int, ...]:
    """Give its agent nothing more, wait until it has ended what it works on, and take it for gone.

    `now`: without waiting; what it was told is lost. The numbers of such tasks.
    Raises FleetError when the orchestrator does not answer.
    """
    if not _has_agent(target, host):
        return ()
    orchestrator.api(target, "POST", f"/api/v1/agents/{host.name}/drain")
    told = ""
    while not now and (busy := tasks_on(target, host, BUSY)):
        words = f"{host.name} works on task {', '.join(map(str, busy))}: waiting (--now ends it)"
        if words != told:
            say(told := words)
        time.sleep(PAUSE_S)
    return _give_up(target, host)


def give_up(target: Target, host: Host) -> tuple[int, ...]:
    """Take its agent for gone, and its money away: what it was told is lost.

    The numbers of all tasks that it had. Raises FleetError.
    """
    return _give_up(target, host) if _has_agent(target, host) else ()


def _give_up(target: Target, host: Host) -> tuple[int, ...]:
    said = orchestrator.api(target, "POST", f"/api/v1/agents/{host.name}/give-up")
    return tuple(said.get("tasks", ())) if isinstance(said, dict) else ()


def _has_agent(target: Target, host: Host) -> bool:
    """Whether the orchestrator knows an agent there; it has forgotten those that have left."""
    agents = orchestrator.rows(orchestrator.api(target, "GET", "/api/v1/agents"), "agents")
    return host.name in {orchestrator.name_of(one) for one in agents}


def tasks_on(target: Target, host: Host, states: tuple[str, ...]) -> tuple[int, ...]:
    """The numbers of the tasks that the host has in one of these states."""
    query = "&".join(f"state={state}" for state in states)
    said = orchestrator.api(target, "GET", f"/api/v1/tasks?most={MOST}&{query}")
    found = orchestrator.rows(said, "tasks")
    return tuple(int(one["id"]) for one in found if one.get("host") == host.name)


def unblock(target: Target, host: Host) -> None:
    """Strike it from the list of workers that are kept out. Raises FleetError."""
    if host.name in {one["worker"] for one in orchestrator.blocked(target)}:
        orchestrator.ask(target, "unblock", host.name)


def strike(leaving: Leaving) -> None:
    """Take the host's entry out of fleet.yaml; all else stays byte for byte. Raises FleetError."""
    path = fleet_file()
    before = load_fleet(path)
    left = tuple(one for one in before.hosts if one.name != leaving.host.name)
    cut(path, "hosts", leaving.host.name, before.model_copy(update={"hosts": left}))


def forget(target: Target, host: Host) -> None:
    """Forget what was learned of the host, its pinned keys included. Raises FleetError."""
    lock = read_fleet_lock(target.lock_file)
    if host.name in lock.hosts:
        write_fleet_lock(target.lock_file, lock.without_host(host.name))
    forget_known_hosts(host)


def gone(target: Target, leaving: Leaving) -> None:
    """It has left for good: forget it, and that it was leaving."""
    forget(target, leaving.host)
    _note(target, leaving.host.name).unlink(missing_ok=True)
