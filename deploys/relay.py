"""On a site's relay: what its neighbours download, so that a slow link carries it once.

A capability of its own, since it comes after the orchestrator has everything and before the
neighbours fetch theirs.
"""

from __future__ import annotations

from deploys.artifacts import served
from fleet.resources import Resources
from fleet.view import HostView


def resources(view: HostView) -> Resources:
    """On a relay: everything that the hosts behind it download, and a server for it."""
    behind = [host for host in view.fleet.hosts if view.fleet.relay(host) == view.host]
    return served(view, behind) if view.fleet.is_relay(view.host) else Resources()
