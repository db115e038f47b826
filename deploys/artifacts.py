"""The fleet's downloads on the orchestrator, served to the other hosts over the tailnet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from fleet.daemons import daemon
from fleet.doors import MONITORING
from fleet.model import Host
from fleet.plan import resources_of
from fleet.resources import Artifact, Directory, Package, Resources, Service, User
from fleet.view import HostView

USER = "agentfleet-files"
LOOPBACK = "127.0.0.1"  # until the tailnet address is known, nobody is served
SERVING = ("artifacts", "relay")  # what they have is what the other capabilities download
NOTHING = (*SERVING, MONITORING)  # download nothing; the last asks what the others want


def resources(view: HostView) -> Resources:
    """On the orchestrator: everything that any host downloads, and a server for it."""
    if view.host != view.fleet.orchestrator:
        return Resources()
    return served(view, view.fleet.hosts)


def served(view: HostView, hosts: Iterable[Host]) -> Resources:
    """Everything that these hosts download, kept on this one, and a server for it."""
    root = _root(view)
    files, running = daemon(view, _server(view, root))
    return Resources(
        packages=(Package("busybox"),),
        users=(User(USER, comment="serves pinned downloads"),),
        directories=(Directory(root),),
        files=files,
        artifacts=tuple(sorted(set(_all(view, hosts)), key=lambda artifact: artifact.path)),
        services=(running,),
    )


def _root(view: HostView) -> str:
    return f"{view.settings.state_dir}/artifacts"


def _all(view: HostView, hosts: Iterable[Host]) -> Iterator[Artifact]:
    """What any capability of these hosts downloads, at this host's paths."""
    for host in hosts:
        other = view.of(host)
        for wanted in (c for c in other.capabilities if c not in NOTHING):
            want = resources_of(wanted, other)
            builds = (build.artifact for build in want.builds if build.artifact)
            programs = (program.artifact for program in want.programs)
            for artifact in (*want.artifacts, *builds, *programs):
                if not artifact.kept:
                    yield _served(view, artifact)


def _served(view: HostView, artifact: Artifact) -> Artifact:
    """The same where this host serves it from. What it has elsewhere for itself is copied."""
    path = served_path(view, artifact)
    elsewhere = artifact.path != path and not artifact.path.endswith(path.removeprefix(_root(view)))
    return replace(artifact, path=path, beside=artifact.path if elsewhere else "")


def beside(view: HostView, artifact: Artifact) -> Artifact:
    """The same for the host's own use: what it serves to others need not come once more."""
    serves = view.host == view.fleet.orchestrator or view.fleet.is_relay(view.host)
    return replace(artifact, beside=served_path(view, artifact)) if serves else artifact


def served_path(view: HostView, artifact: Artifact) -> str:
    """Where a host that serves the artifact has it: the path of its address."""
    return f"{_root(view)}/{artifact.sha256}/{artifact.path.rpartition('/')[2]}"


def _server(view: HostView, root: str) -> Service:
    role = view.settings
    return Service(
        name="artifacts",
        description="pinned downloads for the fleet",
        note="plain HTTP: every host compares what it got with the digest it was given",
        command=(
            # Small, in every distribution, resumes, lists no directory, and no package starts it.
            "busybox", "httpd", "-f",
            "-p", f"{view.host.addresses.tailnet or LOOPBACK}:{role.artifacts_port}",
            "-h", root,
        ),
        user=USER,
        wait_for_address=view.host.addresses.tailnet or "",
        behind_wall=True,
    )  # fmt: skip
