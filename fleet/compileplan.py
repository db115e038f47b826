"""What has to be compiled where to prove the compile cluster: pure, from the toolchain matrix."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from fleet.model import Fleet, Host
from fleet.settings import settings_for
from fleet.toolchains import is_worker, matrix

CLANG, GCC = "clang", "gcc"
LANGUAGES = ("C", "C++")
_PROGRAMS = {
    (CLANG, "C"): "clang",
    (CLANG, "C++"): "clang++",
    (GCC, "C"): "gcc",
    (GCC, "C++"): "g++",
}


@dataclass(frozen=True)
class Pair:
    """A client, a worker it may use, and the compilers it may use there."""

    client: str
    worker: str
    compilers: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """One file compiled by one compiler on one worker."""

    worker: str
    compiler: str
    language: str

    @property
    def program(self) -> str:
        """What is called."""
        return _PROGRAMS[self.compiler, self.language]

    @property
    def source(self) -> str:
        """The file that is compiled."""
        return "small.c" if self.language == "C" else "small.cpp"

    @property
    def id(self) -> str:
        """What it has in common with the same job for other workers, as a word."""
        return f"{self.compiler}-{self.source.replace('.', '-')}"


@dataclass(frozen=True)
class Lack:
    """What a client cannot do, in words; `is_hole`: it should."""

    client: str
    reason: str
    is_hole: bool


def clients(fleet: Fleet) -> tuple[Host, ...]:
    """The hosts that send jobs: those of the matrix that run icecream's daemon."""
    rows = matrix(fleet).rows
    return tuple(host for host in fleet.hosts if host.name in rows and _sends(host))


def _sends(host: Host) -> bool:
    in_role = "icecream" in settings_for(host.role.value).capabilities
    return in_role and "icecream" not in host.without


def pairs(fleet: Fleet) -> tuple[Pair, ...]:
    """Every client with every worker that it may use, in the order of the file.

    clang goes to each platform of the client's row; gcc to workers of the client's own
    architecture, packed by icecc itself. A Mac's gcc is Apple's clang, which stays at home.
    """
    workers = [host for host in fleet.hosts if is_worker(host)]
    found = (
        Pair(client.name, worker.name, _compilers(fleet, client, worker))
        for client in clients(fleet)
        for worker in workers
        if worker != client
    )
    return tuple(pair for pair in found if pair.compilers)


def _compilers(fleet: Fleet, client: Host, worker: Host) -> tuple[str, ...]:
    platforms = {one.platform for one in matrix(fleet).rows[client.name].environments}
    native = client.is_linux and worker.is_linux and client.arch is worker.arch
    clang = (CLANG,) if worker.is_linux and worker.arch in platforms else ()
    return (*clang, *((GCC,) if native else ()))


def lacks(fleet: Fleet) -> tuple[Lack, ...]:
    """What clients cannot do.

    Each is a hole, but for a Mac that has no clang of the fleet's: that one compiles at home, which
    is said and is all right.
    """
    return tuple(
        Lack(client.name, reason, not (client.is_mac and client.compiler is None))
        for client in clients(fleet)
        for reason in matrix(fleet).rows[client.name].lacks
    )


def jobs(pair: Pair) -> tuple[Job, ...]:
    """The jobs that prove a pair."""
    return tuple(
        Job(pair.worker, compiler, language)
        for compiler in pair.compilers
        for language in LANGUAGES
    )


def fingerprint(fleet: Fleet, pair: Pair) -> str:
    """A digest of what the proof of a pair depends on; the same: nothing has changed."""
    client, worker = fleet.host(pair.client), fleet.host(pair.worker)
    row = matrix(fleet).rows[client.name]
    told = [
        pair.compilers,
        [one.name for one in row.environments if one.platform is worker.arch],
        *([host.os.value, host.arch.value, host.compiler] for host in (client, worker)),
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
