"""What is expected of the fleet, and what was found of it. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What an item came to."""

    OK = "ok"
    WARNING = "warning"  # it works, and should be seen to
    FAILED = "failed"
    PENDING = "pending"  # it cannot be said while a host is off that may be
    UNKNOWN = "unknown"  # it cannot be said, and another item says why


@dataclass(frozen=True)
class Item:
    """One thing that was checked: what speaks for the verdict, and the next command to type."""

    kind: str
    host: str  # empty: the fleet as a whole
    verdict: Verdict
    evidence: str
    advice: str = ""

    @property
    def name(self) -> str:
        """What `--only` and alerts call it."""
        return f"{self.kind}@{self.host}" if self.host else self.kind


@dataclass(frozen=True)
class ExpectedHost:
    """What fleet.yaml says of one host.

    `services` maps the short name of each daemon that shall run there to its unit or label,
    `programs` the name of each pinned program to its path, `builds` what was built from source to
    the file that tells its version and that version. `files` are pinned files by SHA-256; `digests`
    are those of programs that are a pinned file themselves. `members` maps programs, wherever they
    are installed, to the pinned archive of this host that they are in, and to their path in it.
    """

    name: str
    power: str
    address: str = ""  # in the tailnet; empty: not known yet
    agent: bool = False
    worker: bool = False  # takes compile jobs
    node: bool = False  # is in the compile cluster at all
    tailnet: bool = True  # Tailscale runs in this system
    services: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)
    builds: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def may_sleep(self) -> bool:
        """Whether being off is no fault."""
        return self.power != "always-on"


@dataclass(frozen=True)
class Expected:
    """What fleet.yaml and group_data say of the fleet."""

    orchestrator: str
    scheduler: str
    hosts: tuple[ExpectedHost, ...]
    key_days: int = 14  # a key that expires within that time is a warning
    disk_percent: int = 95  # of a disk that may be used
    clock_s: float = 5.0  # how far a clock may be off

    def host(self, name: str) -> ExpectedHost | None:
        """The host of that name."""
        return next((host for host in self.hosts if host.name == name), None)


@dataclass(frozen=True)
class Service:
    """One daemon as its manager has it."""

    running: bool
    masked: bool = False


@dataclass(frozen=True)
class Inside:
    """What a host said of itself. `fault`: why it said nothing; `silent`: nothing answered at all.

    `offset_s` is how far its clock is off, give or take `give_s`; None: it did not say. `disks`
    maps mount points to the percentage that is used. `key_s` is how long the tailnet key is good
    for, None for ever.
    `ping` is what went wrong on the way to the orchestrator, empty for nothing, None: not tried.
    """

    fault: str = ""
    silent: bool = False
    offset_s: float | None = 0.0
    give_s: float = 0.0
    disks: Mapping[str, int] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    tailnet: str = ""  # Tailscale's BackendState
    key_s: float | None = None
    ping: str | None = None
    programs: Mapping[str, str] = field(default_factory=dict)  # path → digest, `there`, or nothing
    builds: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, str] = field(default_factory=dict)  # program → digest in its archive


@dataclass(frozen=True)
class AgentSeen:
    """An agent's `/status`: the HTTP code (0: no answer), and the body or what went wrong."""

    code: int
    said: str


@dataclass(frozen=True)
class Member:
    """One daemon at the scheduler, as it calls itself. `port` is 0 where it takes no jobs."""

    name: str
    address: str
    port: int


@dataclass(frozen=True)
class Registered:
    """An agent as the orchestrator's page has it."""

    condition: str
    said: str = ""
    near: bool = False  # its budget is nearly spent


@dataclass(frozen=True)
class Outside:
    """What the orchestrator sees of the others. `fault`: why it said nothing."""

    fault: str = ""
    agents: Mapping[str, AgentSeen] = field(default_factory=dict)
    pings: Mapping[str, str] = field(default_factory=dict)  # what went wrong, empty for nothing
    members: tuple[Member, ...] = ()
    scheduler_fault: str = ""
    blocked: Mapping[str, str] = field(default_factory=dict)  # worker → why
    registered: Mapping[str, Registered] = field(default_factory=dict)
    page_fault: str = ""
    strangers: tuple[str, ...] = ()  # AgentAPIs that fleet.yaml does not know
    monitoring: str | None = None  # why it is dead, empty while it is not; None: there is none


def read_outside(said: Mapping[str, Any]) -> Outside:
    """What `asdict` made of an Outside. Raises LookupError, TypeError, ValueError."""
    return Outside(
        fault=str(said["fault"]),
        agents={n: AgentSeen(int(a["code"]), str(a["said"])) for n, a in said["agents"].items()},
        pings={str(name): str(fault) for name, fault in said["pings"].items()},
        members=tuple(
            Member(str(m["name"]), str(m["address"]), int(m["port"])) for m in said["members"]
        ),
        scheduler_fault=str(said["scheduler_fault"]),
        blocked={str(name): str(why) for name, why in said["blocked"].items()},
        registered={
            n: Registered(str(r["condition"]), str(r["said"]), bool(r["near"]))
            for n, r in said["registered"].items()
        },
        page_fault=str(said["page_fault"]),
        strangers=tuple(str(one) for one in said["strangers"]),
        monitoring=None if said["monitoring"] is None else str(said["monitoring"]),
    )


def read_expected(said: Mapping[str, Any]) -> Expected:
    """What `asdict` made of an Expected. Raises LookupError, TypeError, ValueError."""
    hosts = tuple(
        ExpectedHost(**{**one, "builds": {n: (at, v) for n, (at, v) in one["builds"].items()}})
        for one in said["hosts"]
    )
    return Expected(**{**said, "hosts": hosts})
