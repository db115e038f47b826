"""Who may log in: the admin account of every host takes the operators' keys and no others."""

from __future__ import annotations

from fleet.resources import Directory, Guard, Resources
from fleet.view import HostView

_ROOT_HOMES = {True: "/var/root", False: "/root"}  # by whether it is a Mac


def resources(view: HostView) -> Resources:
    """Everything `operators` wants on this host; nothing while fleet.yaml names no operator."""
    if not view.fleet.operators:
        return Resources()
    login = view.host.ssh.user
    home = (
        _ROOT_HOMES[view.host.is_mac] if login == "root" else f"{view.settings.homes_dir}/{login}"
    )
    directory = f"{home}/.ssh"
    keys = view.file(
        f"{directory}/authorized_keys",
        "operators/authorized_keys.j2",
        mode="0600",
        owner=login,
        group="",
        stays=True,
        check="ssh-keygen -l -f {path} >/dev/null",
    )
    return Resources(
        directories=(Directory(directory, mode="0700", owner=login, group=""),),
        # sshd reads the file for each connection: once the old one is back, nothing else is to do.
        guard=Guard(paths=(keys.path,), revert=":"),
        files=(keys,),
    )
