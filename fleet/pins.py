"""From a pin in artifacts.lock.yaml to the file that holds it on a host."""

from __future__ import annotations

from fleet.lock import Artifact as Pinned
from fleet.problems import FleetError
from fleet.resources import Artifact
from fleet.settings import settings_for
from fleet.view import HostView


def artifact(view: HostView, name: str) -> Artifact:
    """The pinned artifact as this host keeps it, under its own digest.

    Raises FleetError when artifacts.lock.yaml pins nothing of that name for the host's platform.
    """
    pin = view.artifacts.get(name, view.host.arch.value)
    path = f"{view.settings.state_dir}/artifacts/{pin.sha256}/{name}-{pin.version}"
    return Artifact(name=name, version=pin.version, path=path, sha256=pin.sha256, size=pin.size)


def pinned(view: HostView, wanted: Artifact) -> Pinned:
    """The pin that an artifact on a host came from. Raises FleetError when there is none now."""
    for pin in view.artifacts.pins():
        if pin.sha256 == wanted.sha256:
            return pin
    fault = f"{wanted.name} {wanted.version} is not pinned any more"
    raise FleetError.of("artifacts.lock.yaml", fault, "run again")


def mirror(view: HostView) -> str:
    """Where the host can pull artifacts from: the orchestrator; empty where it cannot."""
    source = view.fleet.orchestrator
    if view.host == source or not source.addresses.tailnet:
        return ""
    port = settings_for(source.role.value).artifacts_port
    return f"http://{source.addresses.tailnet}:{port}"
