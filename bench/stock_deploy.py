"""The same state as deploy.py, asked of pyinfra's stock operations: the peer of the benchmark.

What stock operations cannot express is left out (bench/state.py), so the comparison favours them.
"""

from io import BytesIO

from pyinfra import host
from pyinfra.operations import apt, files, pacman, server, systemd

from bench.state import state_of
from fleet.plan import view_of
from fleet.resources import Manager
from fleet.target import load_target

state = state_of(view_of(load_target(), host.name))
if state.manager is Manager.PACMAN:
    pacman.packages(name="packages", packages=list(state.packages))
if state.manager is Manager.APT:
    apt.packages(name="packages", packages=list(state.packages))
for user in host.loop(state.users):
    server.user(name=f"user {user.name}", user=user.name, system=True)
for directory in host.loop(state.directories):
    files.directory(
        name=directory.path,
        path=directory.path,
        mode=directory.mode,
        user=directory.owner,
        group=None if directory.group == "0" else directory.group,
    )
for file in host.loop(state.files):
    files.put(
        name=file.path,
        src=BytesIO(file.content),
        dest=file.path,
        mode=file.mode,
        user=file.owner,
    )
for service in host.loop(state.services):
    systemd.service(name=service, service=service, running=True, enabled=True)
