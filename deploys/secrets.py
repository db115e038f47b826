"""Secrets that a daemon of the host reads from a file, for root alone."""

from __future__ import annotations

from fleet.resources import Directory, File, Resources
from fleet.view import HostView


def resources(view: HostView) -> Resources:
    """The secrets of this role that fleet.yaml states."""
    held = tuple(name for name in view.settings.holds_secrets if name in view.fleet.secrets)
    if not held:
        return Resources()
    directory = f"{view.settings.config_dir}/secrets"
    return Resources(
        directories=(Directory(directory, mode="0700"),),
        files=tuple(
            File(f"{directory}/{name}", b"", "fleet.yaml", mode="0400", secret=name)
            for name in held
        ),
    )
