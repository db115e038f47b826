"""Compile environments on this machine: what a host packed, on its way to the others."""

from __future__ import annotations

from pathlib import Path

from fleet.cache import kept, scratch
from fleet.digest import digest_of
from fleet.environments import Environment
from fleet.model import Fleet, Host
from fleet.problems import FetchError, FleetError
from fleet.progress import waiting
from fleet.settings import settings_for
from fleet.ssh import download, route
from fleet.target import Target
from fleet.toolchains import matrix


def published(fleet: Fleet, sha256: str) -> Environment | None:
    """The environment with that digest that clients use now; None when it is something else."""
    those = (there.environment for there in matrix(fleet).published.values())
    return next((one for one in those if one.sha256 == sha256), None)


def retrieve(target: Target, environment: Environment) -> Path:
    """The environment's file on this machine, fetched from a host that has packed it.

    Raises FleetError naming every such host and what was wrong with it.
    """
    path = kept(environment.sha256)
    if path.is_file() and digest_of(path) == environment.sha256:
        return path
    failures = []
    for host in _holders(target.fleet, environment):
        what = f"fetching {environment.name} from {host.name}"
        with scratch() as folder, waiting(what, bar=False):
            try:
                _copy(target, host, environment, folder / "it")
                (folder / "it").replace(path)
            except OSError as error:
                failures.append(f"{host.name}: {error}")
            else:
                return path
    fault = f"{environment.name} could not be fetched ({'; '.join(failures)})"
    raise FleetError.of("fleet.lock.yaml", fault, "run again once a host that has it answers")


def _holders(fleet: Fleet, environment: Environment) -> list[Host]:
    return [host for host in fleet.hosts if environment in host.environments]


def _copy(target: Target, host: Host, environment: Environment, local: Path) -> None:
    directory = settings_for(host.role.value).environments_dir
    download(route(host, target), f"{directory}/{environment.name}", local)
    if (found := digest_of(local)) != environment.sha256:
        raise FetchError(f"has the digest {found}, noted is {environment.sha256}")
