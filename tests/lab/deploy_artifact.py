"""deploy.py with one more capability's worth: an artifact that the host has to fetch."""

from __future__ import annotations

from deploys import secrets
from deploys.icecream import SOURCE
from fleet.converge import converge
from fleet.pins import artifact
from fleet.resources import Resources
from fleet.view import HostView


def _with_artifact(view: HostView) -> Resources:
    return Resources(artifacts=(artifact(view, SOURCE),))


secrets.resources = _with_artifact

converge(secrets)
