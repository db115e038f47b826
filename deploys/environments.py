"""Stub."""

from fleet.resources import Resources
from fleet.view import HostView


def resources(view: HostView) -> Resources:
    """Nothing yet."""
    return Resources()
