"""The toolchain matrix: which compile environments there are, who packs them, who may use which.

Pure: everything follows from fleet.yaml and from what runs have learned of the hosts. A client may
send a job to every worker whose platform has an environment of the very version that the client
has itself; what it may not use, and why, is said. gcc is not in it: icecream packs that by itself,
for workers of the client's own architecture alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from fleet.environments import Environment, major, number, version
from fleet.kinds import Arch, Power, Role, Sudo
from fleet.model import Fleet, Host
from fleet.settings import settings_for

CAPABILITY = "toolchains"
_PACKING = ("llvm", "environments", CAPABILITY)  # capabilities of a host that packs
_SENDING = ("icecream", "llvm")  # without one of them, no job leaves a client
_UNPACKED_MB = 240  # of an environment; measured, for those that nobody has packed yet
_STEP_MB = 250  # in which a cache limit grows, since a new one restarts the daemon
_MOST_MB = 2000  # icecream 1.4 computes the bytes in an int (daemon/main.cpp): 2048 is "no limit"


@dataclass(frozen=True)
class Row:
    """One client: what it sends jobs with, and why it lacks the rest, in words."""

    host: str
    environments: tuple[Environment, ...]
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """The environment of one platform that clients use, who packed it, and the one before."""

    environment: Environment
    builders: tuple[str, ...]  # who packed the very same; one alone is nobody's witness
    previous: Environment | None = None


BEHIND_NAT = (
    "WSL's networking is {mode} here, not mirrored, so that the scheduler cannot connect to this "
    "host: it sends jobs and takes none; see docs/windows.md"
)


@dataclass(frozen=True)
class Matrix:
    """Everything that hosts have to agree on. `troubles` says why a platform has none."""

    builders: Mapping[Arch, tuple[str, ...]]
    published: Mapping[Arch, Published]
    troubles: Mapping[Arch, str]
    rows: Mapping[str, Row]


def is_worker(host: Host) -> bool:
    """Whether a host takes other hosts' jobs."""
    return _has(host, "icecream") and not why_no_jobs(host)


def why_no_jobs(host: Host) -> str:
    """Why no job of other hosts can run on a host; empty when some can."""
    role = settings_for(host.role.value)
    if not role.icecc_serves_remote:
        return role.icecc_why_not_remote
    return BEHIND_NAT.format(mode=host.networking) if host.is_behind_nat else ""


def _has(host: Host, capability: str) -> bool:
    in_role = capability in settings_for(host.role.value).capabilities
    return in_role and capability not in host.without


@cache
def matrix(fleet: Fleet) -> Matrix:
    """The matrix of a fleet; empty for one that has no toolchain in common."""
    if fleet.toolchain is None:
        return Matrix({}, {}, {}, {})
    by_platform = {arch: _builders(fleet, arch) for arch in Arch if _workers(fleet, arch)}
    published: dict[Arch, Published] = {}
    troubles: dict[Arch, str] = {}
    for arch, names in by_platform.items():
        found = _publish(fleet, arch, [fleet.host(name) for name in names])
        if isinstance(found, Published):
            published[arch] = found
        else:
            troubles[arch] = found
    clients = [host for host in fleet.hosts if _has(host, CAPABILITY)]
    rows = {host.name: _row(fleet, host, published, troubles) for host in clients}
    return Matrix(by_platform, published, troubles, rows)


def _workers(fleet: Fleet, arch: Arch) -> list[Host]:
    return [host for host in fleet.hosts if is_worker(host) and host.arch is arch]


def _builders(fleet: Fleet, arch: Arch) -> tuple[str, ...]:
    """One host that packs, and a second of the same system as its witness.

    Two distributions build the same compiler into different programs, so no other can be one. Who
    is the scheduler is of no account: one for a day must not have everybody fetch new compilers.
    """
    there = [host for host in _workers(fleet, arch) if all(_has(host, c) for c in _PACKING)]
    awake = [host for host in there if host.power is Power.ALWAYS_ON]
    preferred = [host for host in there if host.role is Role.ORCHESTRATOR]
    leads = (*preferred, *awake, *there)
    if not leads:
        return ()
    witness = [host for host in awake if host != leads[0] and host.os is leads[0].os]
    return tuple(host.name for host in (leads[0], *witness[:1]))


def _publish(fleet: Fleet, arch: Arch, builders: Sequence[Host]) -> Published | str:
    """What all builders of the platform agree on, else why there is none."""
    packed = [
        (host, host.environments[0])
        for host in builders
        if host.environments and _is_current(fleet, arch, host, host.environments[0])
    ]
    if not packed:
        names = " or ".join(host.name for host in builders) or "no worker there"
        return f"{names} has yet to pack it" if builders else f"{names} could pack it"
    lead, environment = packed[0]
    same = [(host, one) for host, one in packed if one.compiler == environment.compiler]
    if other := [host.name for host, one in same if one.content != environment.content]:
        agree = f"{lead.name} and {', '.join(other)} packed one compiler into two environments"
        return f"{agree}, and nobody can tell which is right"
    before = [one for one in lead.environments[1:] if one.content != environment.content]
    return Published(
        environment, tuple(host.name for host, _ in same), before[0] if before else None
    )


def _is_current(fleet: Fleet, arch: Arch, host: Host, environment: Environment) -> bool:
    """Whether it was packed from the compiler that the host has now, which is the wanted one."""
    return (
        fleet.toolchain is not None
        and environment.platform is arch
        and environment.compiler == host.compiler
        and major(environment.compiler) == fleet.toolchain.llvm
    )


def _row(
    fleet: Fleet, host: Host, published: Mapping[Arch, Published], troubles: Mapping[Arch, str]
) -> Row:
    useful = [arch for arch in Arch if any(w != host for w in _workers(fleet, arch))]
    if reason := _why_local(fleet, host):
        return Row(host.name, (), (reason,))
    mine = version(host.compiler or "")
    environments, lacks = [], []
    for arch in useful:
        if arch in troubles:
            lacks.append(f"no job goes to {arch} workers: {troubles[arch]}")
        elif (there := published[arch].environment).version != mine:
            lacks.append(_mismatch(arch, mine, there.version))
        else:
            environments.append(there)
    return Row(host.name, tuple(environments), tuple(lacks))


def _mismatch(arch: Arch, mine: str, theirs: str) -> str:
    how = f"clang is {number(mine)} here and {number(theirs)} there: give both the same"
    if number(mine) == number(theirs):
        how = f"clang {number(mine)} makes other code there: its packages have other defaults"
    return f"no job goes to {arch} workers: {how}"


def _why_local(fleet: Fleet, host: Host) -> str:
    """Why clang's jobs stay on this host; empty when they need not."""
    wanted = fleet.toolchain.llvm if fleet.toolchain else 0
    if declined := [name for name in _SENDING if not _has(host, name)]:
        return f"it compiles at home: it is without {declined[0]}"
    if host.compiler is None:
        return f"it compiles at home: it has no clang {wanted}"
    if major(host.compiler) != wanted:
        return f"it compiles at home: its clang is {number(host.compiler)}, wanted is {wanted}"
    return ""


def icecc_version(environments: Sequence[Environment], directory: str) -> str:
    """The value of ICECC_VERSION: `PLATFORM:FILE,…`, each platform once, or icecc ignores it."""
    return ",".join(f"{one.platform}:{directory}/{one.name}" for one in environments)


def untrusted(fleet: Fleet, arch: Arch) -> tuple[str, ...]:
    """The workers of a platform whose agent may do everything there, compilers included."""
    return tuple(
        host.name
        for host in _workers(fleet, arch)
        if host.is_agent and host.agent.sudo is Sudo.FULL
    )


def cache_mb(fleet: Fleet, host: Host) -> int:
    """How many megabytes of unpacked environments a daemon keeps.

    Enough for the clang that is in use and the one before, and for the gcc that every host of its
    architecture may bring. One that is evicted while jobs use it costs each of them half a minute.
    """
    there = matrix(fleet).published.get(host.arch)
    clang_mb = max(there.environment.unpacked / 1e6 if there else 0, _UNPACKED_MB)
    alike = sum(other.arch is host.arch for other in fleet.hosts if other.is_linux)
    needed = (2 * clang_mb + alike * _UNPACKED_MB) if is_worker(host) else _UNPACKED_MB
    return min(-int(-needed // _STEP_MB) * _STEP_MB, _MOST_MB)
