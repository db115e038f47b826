"""deploy.py with a capability that raises on one host: for the test that the others go on."""

from types import SimpleNamespace
from typing import cast

from deploys import base, icecream
from fleet.converge import converge
from fleet.plan import Capability
from fleet.resources import Resources
from fleet.view import HostView


def _resources(view: HostView) -> Resources:
    if view.host.name == "rpi2":
        raise ZeroDivisionError("a mistake in a deploy module")
    return base.resources(view)


converge(cast(Capability, SimpleNamespace(__name__="deploys.base", resources=_resources)))
converge(icecream)
