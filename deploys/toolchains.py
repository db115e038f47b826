"""The compile environments that a client needs, and the line that tells icecream of them."""

from __future__ import annotations

from collections.abc import Iterator

from deploys import artifacts
from fleet.environments import Environment
from fleet.resources import Artifact, Directory, File, Resources
from fleet.toolchains import icecc_version, matrix
from fleet.view import HostView


def resources(view: HostView) -> Resources:
    """One environment a platform that the host may send jobs to, and the one before of each."""
    if view.fleet.toolchain is None:
        return Resources()
    row = matrix(view.fleet).rows[view.host.name]
    return Resources(
        directories=(Directory(view.settings.environments_dir),),
        artifacts=tuple(_artifacts(view, row.environments)),
        files=(_row(view, row.environments),),
        later=("artifacts",),
        remarks=row.lacks,
    )


def row_path(view: HostView) -> str:
    """The file with the value of ICECC_VERSION for the fleet's clang; empty: jobs stay at home."""
    return f"{view.settings.config_dir}/icecc-version"


def _row(view: HostView, environments: tuple[Environment, ...]) -> File:
    line = icecc_version(environments, view.settings.environments_dir)
    return File(row_path(view), f"{line}\n".encode(), "toolchains")


def _artifacts(view: HostView, environments: tuple[Environment, ...]) -> Iterator[Artifact]:
    """Jobs that began before this run may still ask for the one before, so it stays a while."""
    for current in environments:
        yield _artifact(view, current)
        if before := matrix(view.fleet).published[current.platform].previous:
            yield _artifact(view, before, kept=True)


def _artifact(view: HostView, environment: Environment, *, kept: bool = False) -> Artifact:
    found = Artifact(
        name=f"environment-{environment.platform}",
        version=environment.version,
        path=f"{view.settings.environments_dir}/{environment.name}",
        sha256=environment.sha256,
        size=environment.size,
        kept=kept,
    )
    return artifacts.beside(view, found)
