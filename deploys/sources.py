"""Signed package archives of vendors, for what a distribution does not have itself."""

from __future__ import annotations

from fleet.model import Os
from fleet.resources import File, Resources
from fleet.view import TEMPLATES, HostView

KEYRING = "/usr/share/keyrings/agentfleet-tailscale.asc"
# What Tailscale's archive calls a distribution, and a suite of it. Its packages are static
# programs, the same in every suite, so the host's own release does not matter.
TAILSCALE = {
    Os.DEBIAN: ("debian", "bookworm"),
    Os.RASPIOS: ("debian", "bookworm"),  # "raspbian" there is the 32-bit one
    Os.UBUNTU: ("ubuntu", "jammy"),
}


def resources(view: HostView) -> Resources:
    """The archives that this host installs from besides its distribution's own."""
    if view.host.os not in TAILSCALE or not view.settings.tailscale_runs:
        return Resources()
    distribution, suite = TAILSCALE[view.host.os]
    values = {"distribution": distribution, "suite": suite, "keyring": KEYRING}
    return Resources(
        files=(
            _keyring(),
            view.file(
                "/etc/apt/sources.list.d/agentfleet-tailscale.sources",
                "sources/tailscale.sources.j2",
                values=values,
            ),
            view.file(
                "/etc/apt/preferences.d/agentfleet-tailscale", "sources/tailscale.preferences.j2"
            ),
        )
    )


def _keyring() -> File:
    """The vendor's public key as it is; its fingerprint is pinned by a test."""
    template = "sources/tailscale.asc"
    return File(KEYRING, (TEMPLATES / template).read_bytes(), template)
