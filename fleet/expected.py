"""What the model expects of each host when it is asked how it is (orchestrator/health)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from facts.services import service_stem
from fleet.doors import MONITORING
from fleet.plan import resources_of
from fleet.resources import Resources
from fleet.settings import settings_for
from fleet.toolchains import is_worker
from fleet.view import HostView
from orchestrator.health.model import Expected, ExpectedHost

ROOT_DISK = "/"


@cache
def expected(view: HostView) -> Expected:
    """What is expected of the whole fleet, of which this host is one."""
    fleet = view.fleet
    return Expected(
        orchestrator=fleet.orchestrator.name,
        scheduler=fleet.scheduler,
        hosts=tuple(expected_host(view.of(host)) for host in fleet.hosts),
        key_days=settings_for(fleet.orchestrator.role.value).tailscale_key_days,
    )


def expected_host(view: HostView) -> ExpectedHost:
    """What is expected of one host."""
    host, want = view.host, _wanted(view)
    return ExpectedHost(
        name=host.name,
        power=host.power.value,
        address=host.addresses.tailnet or "",
        agent=host.is_agent and "agentapi" not in host.without,
        worker=is_worker(host),
        node="icecream" in view.capabilities and bool(host.addresses.tailnet),
        tailnet=view.settings.tailscale_runs and "tailscale" in view.capabilities,
        services=services(want),
        programs={
            f"{one.name} {one.version}": one.path for some in want.values() for one in some.programs
        },
        builds={
            one.name: (one.stamp, one.version) for some in want.values() for one in some.builds
        },
        files={
            one.path: one.sha256 for some in want.values() for one in some.artifacts if not one.kept
        },
        digests={
            one.path: one.artifact.sha256
            for some in want.values()
            for one in some.programs
            if not one.member and not one.tree
        },
        members=members(view, want),
    )


def _wanted(view: HostView) -> dict[str, Resources]:
    """What the host gets, but for the monitoring: that asks for this to know what it wants itself,
    and runs no daemon.
    """
    names = (name for name in view.capabilities if name != MONITORING)
    return {name: resources_of(name, view) for name in names}


def members(view: HostView, want: Mapping[str, Resources]) -> dict[str, tuple[str, str]]:
    """The fleet's programs that are in an archive that the orchestrator keeps."""
    if view.host != view.fleet.orchestrator:
        return {}
    kept = {one.sha256: one.path for some in want.values() for one in some.artifacts}
    every = (
        program
        for host in view.fleet.hosts
        for some in _wanted(view.of(host)).values()
        for program in some.programs
    )
    return {
        one.path: (kept[one.artifact.sha256], one.member)
        for one in every
        if one.member and one.artifact.sha256 in kept
    }


def services(want: Mapping[str, Resources]) -> dict[str, str]:
    """The daemons of ours that shall run, by short name; what is off in fleet.yaml shall not."""
    return {
        service_stem(one.name): one.name
        for some in want.values()
        for one in some.services
        if one.is_ours and not one.off
    }


def inside_script(view: HostView, *, deep: bool = False) -> bytes:
    """The script that says how the host is."""
    seen, boss = expected_host(view), view.fleet.orchestrator
    role = view.settings
    asks = "" if view.host == boss else boss.addresses.tailnet or ""
    return view.render(
        "monitoring/inside.sh.j2",
        services=seen.services,
        disks=(ROOT_DISK, role.state_dir, role.icecc_env_dir, role.agent_home),
        tailnet=seen.tailnet,
        tailscale=role.tailscale_programs,
        asks=asks,
        programs=seen.programs,
        builds=seen.builds,
        files=seen.files,
        members=seen.members,
        deep=deep,
    )
