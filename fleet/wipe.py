"""What of a host is the fleet's, as far as the model tells: the pure half of a wipe."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from facts.look import Look, probes
from facts.services import RUN_DIR
from fleet.plan import wanted
from fleet.problems import FleetError
from fleet.resources import Resources
from fleet.view import HostView
from operations.plans import HostContext
from operations.wipe import Estate

NAME = "wipe"


def estate(view: HostView) -> Estate:
    """All that may be the fleet's there, of capabilities that the host declines by now as well."""
    role, host = view.settings, view.host.model_copy(update={"without": ()})
    everything = wanted(HostView(view.fleet, host, view.artifacts)).values()
    users = {user.name: user for want in everything for user in want.users}
    guards = [want.guard.revert for want in everything if want.guard and want.guard.revert != ":"]
    told = [
        f"{service.notify} {service.name}"
        for want in everything
        for service in want.services
        if service.notify and not service.notify.startswith(role.libexec_dir)
    ]
    roots = (
        *(role.log_dir, role.libexec_dir, role.config_dir, role.programs_dir),
        *(role.compilers_dir, role.environments_dir, role.icecc_env_dir, role.agent_home),
        role.state_dir,  # late, since the manifests are there
        RUN_DIR,
    )
    return Estate(
        tuple(dict.fromkeys(roots)),
        tuple(users.values()),
        tuple(dict.fromkeys((*guards, *told))),
        view.host.is_mac,
    )


@dataclass(frozen=True)
class WipeOrder:
    """The order to leave nothing (operations.change.Order); it needs no secret."""

    view: HostView
    capability: str = NAME

    @cached_property
    def estate(self) -> Estate:
        """What may be ours there."""
        return estate(self.view)

    def want(self) -> Resources:
        """Nothing but what has to be looked at."""
        return Resources(readings=self.estate.readings(self.view.settings.state_dir))

    def context(self) -> HostContext:
        """What operations need to know of the host: nothing on it is wanted any more."""
        mac, state_dir = self.view.host.is_mac, self.view.settings.state_dir
        asked = probes({NAME: self.want()}, mac=mac, state_dir=state_dir)
        return HostContext(NAME, mac, state_dir, asked)

    def secret(self, name: str) -> str:
        """There is none to be had."""
        raise FleetError.of(self.view.host.name, f"a wipe needs no {name}", "")

    def hindrance(self, look: Look) -> str:
        """Nothing stands in the way."""
        return ""
