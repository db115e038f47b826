"""A small fleet whose hosts have the fleet's clang: for tests of who compiles where."""

from __future__ import annotations

from pathlib import Path

from fleet.environments import Environment
from fleet.kinds import Arch
from fleet.model import Fleet, Toolchain, load_fleet

CLANG = "16.0.6+0f1e2d 0123456789ab"


def environment(arch: Arch) -> Environment:
    digest = ("a" if arch is Arch.X86_64 else "b") * 64
    return Environment(
        platform=arch, compiler=CLANG, content=digest, sha256=digest, size=5000, unpacked=9000
    )


def equipped(path: Path, *, without: tuple[str, ...] = ()) -> Fleet:
    """The fleet of a file with a compiler in common, which some hosts lack."""
    fleet = load_fleet(path)
    hosts = tuple(
        host.model_copy(
            update={
                "compiler": None if host.name in without else CLANG,
                "environments": (environment(host.arch),),
                "addresses": host.addresses.model_copy(update={"tailnet": f"100.64.0.{number}"}),
            }
        )
        for number, host in enumerate(fleet.hosts, 1)
    )
    toolchain = Toolchain(llvm=16, sample_percent=0)
    return fleet.model_copy(update={"hosts": hosts, "toolchain": toolchain})
