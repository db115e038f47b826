"""From a pin in artifacts.lock.yaml to the file that holds it on a host."""

from __future__ import annotations

from fleet.catalog import command
from fleet.lock import ANY
from fleet.lock import Artifact as Pinned
from fleet.problems import FleetError
from fleet.resources import Artifact, Program
from fleet.settings import settings_for
from fleet.view import HostView

LOCK = "artifacts.lock.yaml"
_SHORT = 12  # digits of a digest that tell one file from another in a path


def missing(view: HostView, name: str) -> str:
    """Why this host cannot have the artifact, with the command to type; empty when it is pinned.

    A deploy module says so in its `unavailable` and wants nothing then: the other hosts, and the
    other capabilities of this one, go on.
    """
    pinned, platform = view.artifacts.artifacts.get(name), view.host.platform
    if pinned is None:
        return f"{name} is not pinned: {command(name)} (once, in git)"
    if {platform, ANY} & set(pinned.platforms):
        return ""
    return f"{name} is not pinned for {platform}: {command(name, pinned.version)} (once, in git)"


def artifact(view: HostView, name: str) -> Artifact:
    """The pinned artifact as this host keeps it, under its own digest.

    Raises FleetError when artifacts.lock.yaml pins nothing of that name for the host's platform.
    """
    if reason := missing(view, name):
        fault, _, fix = reason.partition(": ")
        raise FleetError.of(LOCK, fault, fix)
    pin = view.artifacts.get(name, view.host.platform)
    path = f"{view.settings.state_dir}/artifacts/{pin.sha256}/{name}-{pin.version}"
    return Artifact(name=name, version=pin.version, path=path, sha256=pin.sha256, size=pin.size)


def program(
    view: HostView, name: str, *, file: str = "", member: str = "", tree: str = ""
) -> Program:
    """The pinned program as this host has it installed; the file is called `file`, or `name`.

    `member` is its path inside the artifact, a .tgz; without, the artifact is the program, or an
    archive of which all is installed, with the program at `tree`. Raises FleetError when it is not
    pinned: see `missing`.
    """
    source = artifact(view, name)
    generation = f"{source.version}-{source.sha256[:_SHORT]}"
    path = f"{view.settings.programs_dir}/{name}/{generation}/{tree or file or name}"
    return Program(name, source.version, path, source, member, tree)


def pinned(view: HostView, wanted: Artifact) -> Pinned:
    """The pin that an artifact on a host came from. Raises FleetError when there is none now."""
    for pin in view.artifacts.pins():
        if pin.sha256 == wanted.sha256:
            return pin
    raise FleetError.of(LOCK, f"{wanted.name} {wanted.version} is not pinned any more", "run again")


def mirrors(view: HostView) -> tuple[str, ...]:
    """Where the host can pull artifacts from, best first: its site's relay, the orchestrator.

    Each is `http://host:port`; one that is not known to be in the tailnet is left out.
    """
    servers = (view.fleet.relay(view.host), view.fleet.orchestrator)
    others = (server for server in servers if server and server != view.host)
    return tuple(
        f"http://{one.addresses.tailnet}:{settings_for(one.role.value).artifacts_port}"
        for one in others
        if one.addresses.tailnet
    )
