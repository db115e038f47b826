"""What shall hold on the Windows around a host in WSL, as it follows from the model."""

from __future__ import annotations

from fleet.doors import Who, doors
from fleet.lock import TAILNET_IPV6
from fleet.model import Os
from fleet.resources import WindowsProgram, WindowsRule, WindowsSide
from fleet.view import HostView
from fleet.words import TAILNET_IPV4

OLDEST_BUILD = 19041  # of Windows 10, the first with WSL 2
MIRRORED_BUILD = 22621  # of Windows 11: 22H2, the first with mirrored networking
VM_CREATOR = "{40E0AC32-46A5-438A-A0B2-2B479E8F2E90}"
PREFIX = "agentfleet-"  # of everything of ours on Windows
DISTRIBUTIONS = {Os.DEBIAN: "Debian", Os.UBUNTU: "Ubuntu"}
CLAUDE_CODE = "claude-code"  # its name among the pins
# In /etc/wsl.conf: section, key, value, and the value that it has where the file says nothing.
WSL_CONF = (
    ("boot", "systemd", "true", "false"),
    ("automount", "enabled", "true", "true"),
    ("interop", "enabled", "true", "true"),
)


def windows_side(view: HostView) -> WindowsSide:
    """Everything of Windows that the host needs, with the scripts that look and change."""
    side = WindowsSide(
        distribution=DISTRIBUTIONS[view.host.os],
        keep_alive=f"{PREFIX}keep-alive",
        rules=tuple(_rules(view)),
        programs=_programs(view),
    )
    values = {"side": side, "prefix": PREFIX, "vm_creator": VM_CREATOR}
    look = view.render("windows/look.ps1.j2", **values).decode()
    parts = ("windows/common.ps1.j2", "windows/functions.ps1.j2")
    functions = "\n".join(view.render(part, **values).decode() for part in parts)
    return WindowsSide(
        side.distribution, side.keep_alive, side.rules, side.programs, look, functions
    )


def _rules(view: HostView) -> list[WindowsRule]:
    """Windows lets the tailnet through to our ports; whom of it, the firewall in WSL says."""
    behind = doors(view.fleet, view.host)
    public = tuple(door.port for door in behind if door.who is Who.ANYWHERE)
    private = tuple(door.port for door in behind if door.who is not Who.ANYWHERE)
    tailnet = (str(TAILNET_IPV4), str(TAILNET_IPV6))
    return [
        WindowsRule(f"{PREFIX}ssh", "agentfleet: SSH to WSL", public),
        WindowsRule(f"{PREFIX}tailnet", "agentfleet: the tailnet to WSL", private, tailnet),
    ]


def _programs(view: HostView) -> tuple[WindowsProgram, ...]:
    """The role's, and Claude Code in the fleet's version where that is pinned."""
    wanted = [WindowsProgram(*names) for names in view.settings.windows_programs]
    pinned = view.artifacts.artifacts.get(CLAUDE_CODE)
    if pinned and "claude_code" in view.capabilities:
        wanted.append(WindowsProgram("claude", version=pinned.version))
    return tuple(wanted)
