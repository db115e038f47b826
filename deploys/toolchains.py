"""Stub."""

from fleet.resources import Resources
from fleet.view import HostView


def resources(view: HostView) -> Resources:
    """Nothing yet."""
    return Resources()


def row_path(view: HostView) -> str:
    """The file with the value of ICECC_VERSION for the fleet's clang; empty: jobs stay at home."""
    return f"{view.settings.config_dir}/icecc-version"
