"""What a run would change, host by host, as its records tell; saved, read again and compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from fleet.exits import Exit, worst
from fleet.model import Power
from fleet.plan import view_of, wanted
from fleet.problems import FleetError, printable
from fleet.target import Target

VERSION = 1  # of a saved plan's format
LINES_SHOWN = 10  # of what has changed since a plan was saved


class Standing(StrEnum):
    """How a host came through a run, or through the look before one."""

    CLEAN = "clean"  # it is as fleet.yaml says
    CHANGES = "changes"
    PENDING = "pending"  # what is left has to wait, such as an agent's restart
    ASLEEP = "asleep"  # it is off, which it may be
    DOWN = "down"  # it is off, which it should not be
    FAILED = "failed"


_EXITS = {
    Standing.CHANGES: Exit.CHANGES,
    Standing.PENDING: Exit.CHANGES,
    Standing.ASLEEP: Exit.OFF,
    Standing.DOWN: Exit.ERROR,
    Standing.FAILED: Exit.ERROR,
}


@dataclass(frozen=True)
class Step:
    """One operation's part: what it changes, and what has to wait, in the user's words.

    `diffs` are unified diffs of texts; of secrets, binaries and what is too long a line without
    their content.
    """

    capability: str
    operation: str
    changes: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    diffs: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostPlan:
    """One host. `skipped` has what cannot be had there now, `remarks` what no run can mend."""

    host: str
    steps: tuple[Step, ...] = ()
    skipped: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    error: str = ""
    unreached: bool = False
    silent: bool = False  # nothing answered at all
    asleep: bool = False  # and nothing had to

    @property
    def changes(self) -> tuple[str, ...]:
        """What changes, a line each."""
        return tuple(line for step in self.steps for line in step.changes)

    @property
    def pending(self) -> tuple[str, ...]:
        """What waits, a line each."""
        return tuple(line for step in self.steps for line in step.pending)

    @property
    def standing(self) -> Standing:
        """How it stands."""
        if self.silent:
            return Standing.ASLEEP if self.asleep else Standing.DOWN
        if self.error:
            return Standing.FAILED
        if self.changes:
            return Standing.CHANGES
        return Standing.PENDING if self.pending else Standing.CLEAN

    @property
    def digest(self) -> str:
        """A digest of what was found there that matters, and of what it leads to."""
        said = json.dumps([asdict(step) for step in self.steps], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True)
class Planned:
    """All hosts that were looked at. `truth` is a digest of all that was rendered for them."""

    fleet: str
    truth: str
    hosts: tuple[HostPlan, ...]
    made: Mapping[str, str] = field(default_factory=dict)  # by whom, when, of which commit

    @property
    def exit(self) -> Exit:
        """The exit code that says how things stand."""
        return worst(_EXITS.get(host.standing, Exit.DONE) for host in self.hosts)

    def host(self, name: str) -> HostPlan | None:
        """One host's part."""
        return next((host for host in self.hosts if host.host == name), None)

    def named(self, *standings: Standing) -> tuple[str, ...]:
        """The hosts that stand like that, in the order of fleet.yaml."""
        return tuple(host.host for host in self.hosts if host.standing in standings)


def gather(
    target: Target, names: Sequence[str], events: Iterable[Mapping[str, Any]], phase: str
) -> tuple[HostPlan, ...]:
    """The hosts of these names, as the events of a run tell; `phase` is plan or apply."""
    found: dict[str, list[Mapping[str, Any]]] = {name: [] for name in names}
    for event in events:
        found.setdefault(event["host"], []).append(event)
    return tuple(_host(target, name, found[name], phase) for name in names)


def _host(target: Target, name: str, events: Sequence[Mapping[str, Any]], phase: str) -> HostPlan:
    by: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        by.setdefault(event["event"], []).append(event)
    steps = tuple(
        Step(
            one["capability"],
            one["operation"],
            tuple(one["changes"]),
            tuple(one["pending"]),
            tuple(one["diffs"]),
        )
        for one in by.get("change", ())
        if one["phase"] == phase
    )
    steps += tuple(Step("", "", pending=(one["text"],)) for one in by.get("pending", ()))
    unreached = by.get("unreached", ())
    errors = [one["text"] for one in (*unreached, *by.get("failed", ()))]
    silent = any(one["silent"] for one in unreached)
    return HostPlan(
        name,
        steps,
        tuple(
            dict.fromkeys(f"{one['capability']}: {one['text']}" for one in by.get("skipped", ()))
        ),
        tuple(dict.fromkeys(one["text"] for one in by.get("remark", ()))),
        "\n".join(dict.fromkeys(errors))
        or ("" if "connected" in by else "nothing was heard of it"),
        bool(unreached),
        silent,
        silent and target.fleet.host(name).power is not Power.ALWAYS_ON,
    )


def truth_of(target: Target, names: Iterable[str]) -> str:
    """A digest of everything that is rendered for these hosts. Secrets are not part of it."""
    digest = hashlib.sha256()
    for name in names:
        for capability, want in wanted(view_of(target, name)).items():
            digest.update(f"{name} {capability}\n{want!r}\n".encode())
            for file in want.files:
                digest.update(f"{file.path} {file.sha256}\n".encode())
    return digest.hexdigest()


def save(plan: Planned, path: Path) -> None:
    """Write the plan where `load` finds it, for this user alone. Raises FleetError."""
    text = json.dumps({"version": VERSION, **asdict(plan)}, indent=1)
    try:
        path.touch(mode=0o600)
        path.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise FleetError.of(str(path), f"cannot be written: {error.strerror}", "") from None


def load(path: Path) -> Planned:
    """The plan that `save` wrote. Raises FleetError when it is none, or none of this version."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        fix = "make one: fleet plan --save FILE"
        raise FleetError.of(str(path), f"cannot be read: {error.strerror}", fix) from None
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.get("version") != VERSION:
        fix = "make a new one: fleet plan --save FILE"
        raise FleetError.of(str(path), "is no plan of this version of agentfleet", fix)
    try:
        hosts = tuple(_read_host(host) for host in said["hosts"])
        return Planned(str(said["fleet"]), str(said["truth"]), hosts, dict(said["made"]))
    except (KeyError, TypeError, ValueError):
        fix = "make a new one: fleet plan --save FILE"
        raise FleetError.of(str(path), "is a damaged plan", fix) from None


def _read_host(said: Mapping[str, Any]) -> HostPlan:
    steps = tuple(
        Step(
            str(one["capability"]),
            str(one["operation"]),
            *(tuple(one[name]) for name in ("changes", "pending", "diffs")),
        )
        for one in said["steps"]
    )
    lists = {name: tuple(said[name]) for name in ("skipped", "remarks")}
    return HostPlan(**{**said, **lists, "steps": steps})


def staleness(saved: Planned, now: Planned) -> tuple[str, ...]:
    """What differs between what was planned and what would happen now, in words; empty: nothing.

    A host that could not be looked at, then or now, is not compared.
    """
    lines = []
    if saved.truth != now.truth:
        lines.append("what is rendered has changed: fleet.yaml, a lock file, or agentfleet itself")
    for was in saved.hosts:
        found = now.host(was.host)
        if found is None or was.error or found.error or was.digest == found.digest:
            continue
        lines += [f"{was.host}: {line}" for line in _moved(was, found)]
    return tuple(lines)


def _moved(was: HostPlan, now: HostPlan) -> list[str]:
    before, after = _lines(was), _lines(now)
    more = [f"new: {line}" for line in after if line not in before]
    less = [f"no longer: {line}" for line in before if line not in after]
    found = [*more, *less] or ["the content that would be replaced has changed"]
    rest = len(found) - LINES_SHOWN
    return found[:LINES_SHOWN] + ([f"… and {rest} more"] if rest > 0 else [])


def _lines(host: HostPlan) -> list[str]:
    return [
        printable(f"{step.capability}: {line}")
        for step in host.steps
        for line in (*step.changes, *step.pending)
    ]
