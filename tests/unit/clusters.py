"""The compile cluster of a fleet, for tests: what its hosts have told of their compilers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from fleet.environments import Environment
from fleet.kinds import Arch
from fleet.model import Fleet, Toolchain
from fleet.target import Target
from fleet.toolchains import matrix
from tests.golden import target

CLANG = "16.0.6+0f1e2d 0123456789ab"
REBUILT = "16.0.6+0f1e2d ba9876543210"  # the same version as another distribution builds it
PATCHED = "16.0.5+0f1e2d 00000000005a"
OLD = "15.0.7+0f1e2d 00000000007a"
GOLDEN = target().fleet
MEGABYTES = 240  # of an environment that is unpacked


def environment(platform: Arch, compiler: str = CLANG, packed: str = "as ever") -> Environment:
    """An environment; `packed` tells apart what came out otherwise."""
    content = hashlib.sha256(f"{platform} {compiler} {packed}".encode()).hexdigest()
    return Environment(
        platform=platform,
        compiler=compiler,
        content=content,
        sha256=hashlib.sha256(content.encode()).hexdigest(),
        size=60_000_000,
        unpacked=MEGABYTES * 1_000_000,
    )


def told(fleet: Fleet, name: str, **learned: object) -> Fleet:
    """The fleet after a host has told something else, or is something else."""
    assert any(host.name == name for host in fleet.hosts)
    hosts = tuple(
        host.model_copy(update=learned) if host.name == name else host for host in fleet.hosts
    )
    return fleet.model_copy(update={"hosts": hosts})


def with_toolchain(fleet: Fleet, llvm: int = 16) -> Fleet:
    """The fleet with a compiler in common, of which no host has told."""
    toolchain = Toolchain(llvm=llvm, sample_percent=1)
    return fleet.model_copy(update={"toolchain": toolchain})


def with_compilers(compiler: str = CLANG) -> Fleet:
    """The golden fleet: all hosts have this compiler, and nobody has packed it."""
    fleet = with_toolchain(GOLDEN)
    for host in fleet.hosts:
        fleet = told(fleet, host.name, compiler=compiler)
    return fleet


@cache
def green() -> Fleet:
    """The golden fleet, where everybody has the compiler and every builder has packed it."""
    fleet = with_compilers()
    return packed(fleet, {arch: (environment(arch),) for arch in Arch})


def packed(fleet: Fleet, made: Mapping[Arch, tuple[Environment, ...]]) -> Fleet:
    """The fleet after the builders of each platform have packed the same."""
    for arch, environments in made.items():
        for builder in matrix(fleet).builders[arch]:
            fleet = told(fleet, builder, environments=environments)
    return fleet


def target_of(fleet: Fleet) -> Target:
    """What commands work on, with this fleet."""
    return replace(target(), fleet=fleet)
