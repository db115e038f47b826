"""The state that all ways of the benchmark bring: what every one of them can express.

Taken from what agentfleet itself wants on a host. Left out is what only it knows (manifests, masks,
stamps, guards, programs by digest, what a service is told of), so that the comparison favours the
others. With FLEET_ONLY in the environment, of those capabilities alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from fleet.plan import ONLY, wanted
from fleet.resources import Directory, File, Manager, User
from fleet.view import HostView


@dataclass(frozen=True)
class State:
    """One host: `packages` under `manager`'s names, and systemd units that run and are enabled."""

    manager: Manager | None
    packages: tuple[str, ...]
    users: tuple[User, ...]
    directories: tuple[Directory, ...]
    files: tuple[File, ...]
    services: tuple[str, ...]

    @property
    def items(self) -> int:
        """How many things that is."""
        parts = (self.packages, self.users, self.directories, self.files, self.services)
        return sum(len(part) for part in parts)


def state_of(view: HostView) -> State:
    """What is wanted on the host; files with a secret are left out, a Mac has files alone."""
    linux = view.host.is_linux
    manager = (Manager.PACMAN if view.host.os == "arch" else Manager.APT) if linux else None
    only = os.environ.get(ONLY)
    wants = [w for name, w in wanted(view).items() if only is None or name in only.split(",")]
    packages = [name for w in wants for p in w.packages if manager and (name := p.under(manager))]
    users = {user.name: user for w in wants for user in w.users if linux}
    services = [s.name for w in wants for s in w.services if linux and s.is_ours and not s.off]
    return State(
        manager=manager,
        packages=tuple(dict.fromkeys(packages)),
        users=tuple(users.values()),
        directories=tuple({d.path: d for w in wants for d in w.directories}.values()),
        files=tuple(file for w in wants for file in w.files if not file.secret),
        services=tuple(dict.fromkeys(services)),
    )
