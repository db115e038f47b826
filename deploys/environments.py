"""Packing the fleet's clang for one platform, on the hosts that the matrix names for it."""

from __future__ import annotations

from deploys import llvm
from fleet.environments import major
from fleet.learned import ENVIRONMENTS
from fleet.resources import Build, Directory, Manager, Package, Reading, Resources
from fleet.toolchains import matrix
from fleet.view import HostView

RECIPE = 1  # raise when the script below packs otherwise, so that hosts pack again
_NO_MAC: dict[Manager, str | None] = {Manager.BREW: None, Manager.PORT: None}
# What icecc-create-env and our own packing call.
_PACKERS = tuple(Package(name, _NO_MAC) for name in ("file", "binutils", "zstd"))


def resources(view: HostView) -> Resources:
    """The script that packs, run once per compiler, and the question what it has packed."""
    if view.host.name not in matrix(view.fleet).builders.get(view.host.arch, ()):
        return Resources()
    role = view.settings
    records, stamp = f"{role.state_dir}/environments", f"{role.state_dir}/environments.stamp"
    script = view.file(
        f"{role.libexec_dir}/pack-environment",
        "environments/pack.sh.j2",
        mode="0755",
        check="sh -n {path}",
        values={"homes": llvm.homes(view), "records": records, "stamp": stamp, "recipe": RECIPE},
    )
    return Resources(
        packages=_PACKERS,
        directories=(Directory(role.environments_dir),),
        files=(script,),
        builds=(_packing(view, script.path, stamp),),
        readings=(Reading(ENVIRONMENTS, f"tr '\\n' ';' <{records}"),),
    )


def _packing(view: HostView, script: str, stamp: str) -> Build:
    """A compiler that is only installed in this run is learned before this is carried out."""
    wanted = view.fleet.toolchain.llvm if view.fleet.toolchain else 0
    known = view.host.compiler
    compiler = known if known and major(known) == wanted else f"{wanted} unknown"
    made = [one.name for one in view.host.environments if one.compiler == compiler]
    return Build(
        name=f"environment of clang for {view.host.arch}",
        version=f"{compiler} {RECIPE}",
        script=script,
        stamp=stamp,
        # It leaves with the toolchain, and the stamp does not.
        makes=f"{view.settings.environments_dir}/{made[0]}" if made else "",
        says="pack, and give it to every client (takes a minute)",
    )
