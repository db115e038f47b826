"""From a pin in artifacts.lock.yaml to the file that holds it on a host."""

from __future__ import annotations

from fleet.resources import Artifact
from fleet.view import HostView


def artifact(view: HostView, name: str) -> Artifact:
    """The pinned artifact as this host keeps it, under its own digest.

    Raises FleetError when artifacts.lock.yaml pins nothing of that name for the host's platform.
    """
    pin = view.artifacts.get(name, view.host.arch.value)
    path = f"{view.settings.state_dir}/artifacts/{pin.sha256}/{name}-{pin.version}"
    return Artifact(name=name, version=pin.version, path=path, sha256=pin.sha256, size=pin.size)
