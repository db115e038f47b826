"""The tailnet: Tailscale on every host, joined under the host's own name."""

from __future__ import annotations

from facts.look import Look
from fleet.daemons import LABEL_PREFIX, daemon
from fleet.resources import (
    NO_MANAGER,
    File,
    Package,
    Resources,
    RunningService,
    Service,
    TailnetNode,
)
from fleet.view import HostView

UNIT = "tailscaled.service"  # the package's own
DAEMON = "tailscaled"  # ours on a Mac
APP = "/Applications/"  # what is below is a person's


def resources(view: HostView) -> Resources:
    """Everything `tailscale` wants on this host; in WSL only that Windows is in the tailnet."""
    role = view.settings
    node = TailnetNode(
        name=view.host.name,
        tags=(role.tailnet_tag,) if role.tailnet_tag else (),
        programs=role.tailscale_programs,
        warn_days=role.tailscale_key_days,
        joins=role.tailscale_runs,
    )
    if not role.tailscale_runs:
        return Resources(node=node)
    files, service = _daemon(view)
    return Resources(packages=(Package("tailscale"),), files=files, services=(service,), node=node)


def unavailable(view: HostView, look: Look) -> str:
    """Why Tailscale is not ours to run here; the host's address is learned all the same."""
    if not view.host.is_mac:
        return ""
    if look.tailnet.program.startswith(APP):
        return f"{look.tailnet.program} is here, which its person looks after"
    if look.tailnet.state and not look.service(LABEL_PREFIX + DAEMON).loaded:
        return (
            "another tailscaled runs here: stop it with `sudo tailscaled uninstall-system-daemon` "
            "or `sudo brew services stop tailscale`, and run again"
        )
    return NO_MANAGER if look.system.manager is None else ""


def _daemon(view: HostView) -> tuple[tuple[File, ...], RunningService]:
    """The package's own unit; a Mac gets a LaunchDaemon, since only the application brings one."""
    if not view.host.is_mac:
        return (), RunningService(UNIT)
    programs = (p for p in view.settings.tailscale_programs if not p.startswith(APP))
    places = tuple(program.rpartition("/")[0] for program in programs)
    definition, running = daemon(
        view,
        Service(
            name=DAEMON,
            description="Tailscale",
            command=("tailscaled",),
            path=(*places, "/usr/bin", "/bin", "/usr/sbin", "/sbin"),
            inputs=tuple(f"{place}/tailscaled" for place in places),
        ),
    )
    return definition, running
