"""The Windows around a host in WSL: what makes that host reachable, and keeps it so.

WSL's own settings are in it, too, since they say how WSL and Windows meet.
"""

from __future__ import annotations

from fleet.resources import Resources
from fleet.view import HostView
from fleet.windows import windows_side

BINFMT = "/etc/binfmt.d/WSLInterop.conf"  # systemd-binfmt drops the handler that is not in a file


def resources(view: HostView) -> Resources:
    """Everything `windows` wants on this host; nothing outside WSL."""
    if not view.settings.in_windows:
        return Resources()
    return Resources(
        files=(view.file(BINFMT, "windows/binfmt.conf.j2"),), windows=windows_side(view)
    )
