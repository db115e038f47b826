"""The same state as deploy.py, asked of pyinfra's stock operations: the peer of the benchmark.

What stock operations cannot express is left out (manifests, masks, stamps, launchd's bootstrap),
so the comparison favours them.
"""

from io import BytesIO

from pyinfra import host
from pyinfra.operations import apt, files, pacman, server, systemd

from fleet.plan import view_of, wanted
from fleet.resources import Manager
from fleet.target import load_target

view = view_of(load_target(), host.name)
for want in host.loop(list(wanted(view).values())):
    if view.host.is_linux:
        manager = Manager.PACMAN if view.host.os == "arch" else Manager.APT
        names = [name for p in want.packages if (name := p.under(manager))]
        (pacman if manager is Manager.PACMAN else apt).packages(name="packages", packages=names)
        for user in host.loop(want.users):
            server.user(name=f"user {user.name}", user=user.name, system=True)
    for directory in host.loop(want.directories):
        files.directory(
            name=directory.path,
            path=directory.path,
            mode=directory.mode,
            user=directory.owner,
            group=None if directory.group == "0" else directory.group,
        )
    for file in host.loop(want.files):
        files.put(
            name=file.path,
            src=BytesIO(file.content),
            dest=file.path,
            mode=file.mode,
            user=file.owner,
        )
    if view.host.is_linux:
        for service in host.loop(want.services):
            if service.is_ours:
                systemd.service(name=service.name, service=service.name, running=True, enabled=True)
