"""deploy.py with a daemon that listens on the agents' port on every interface, behind the wall."""

from __future__ import annotations

from deploys import secrets
from fleet.converge import converge
from fleet.daemons import daemon
from fleet.resources import Resources, Service
from fleet.view import HostView
from tests.lab.runs import LISTENER


def _with_listener(view: HostView) -> Resources:
    files, running = daemon(
        view,
        Service(
            name=LISTENER,
            description="listens where agents will",
            command=("nc", "-lk", "0.0.0.0", str(view.settings.agent_port)),  # noqa: S104
            path=("/usr/bin", "/bin"),
            behind_wall=True,
            restart_delay_s=1,
        ),
    )
    return Resources(files=files, services=(running,))


secrets.resources = _with_listener

converge(secrets)
