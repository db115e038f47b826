"""How the orchestrator comes to a host: as an account that can do one thing there, as root."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fleet.model import Host
from fleet.resources import Directory, File, Resources, Setting, User
from fleet.view import HostView


@dataclass(frozen=True)
class Caller:
    """One account. Its one `key` runs `command`, whatever is asked for; sudo lets it do `allowed`.

    `command` is as authorized_keys has it, `allowed` as sudoers has it: without arguments that is
    `PROGRAM ""`, since a program alone may have any.
    """

    user: str
    home: str
    comment: str
    key: str | None
    command: str
    allowed: str
    rule: str  # the name of its file in /etc/sudoers.d


def account(view: HostView, caller: Caller) -> Resources:
    """Everything that the account consists of."""
    folder = f"{caller.home}/.ssh"
    return Resources(
        users=(User(caller.user, home=caller.home, comment=caller.comment, login_shell="/bin/sh"),),
        directories=(Directory(caller.home), Directory(folder)),
        files=(_sudoers(view, caller), _authorized_keys(view, caller, folder)),
        settings=(_ssh_access(caller.user),) if view.host.is_mac else (),
    )


def known_hosts(view: HostView, path: str, reached: Sequence[Host]) -> File:
    """The host keys of those that the orchestrator comes to, by name."""
    return view.file(path, "callers/known_hosts.j2", values={"reached": reached})


def _sudoers(view: HostView, caller: Caller) -> File:
    return view.file(
        f"/etc/sudoers.d/{caller.rule}",
        "callers/sudoers.j2",
        mode="0440",
        check="visudo -cqf {path}",
        values={"caller": caller},
    )


def _authorized_keys(view: HostView, caller: Caller, folder: str) -> File:
    boss = view.fleet.orchestrator
    places = (boss.addresses.tailnet, boss.addresses.tailnet6)
    values = {"caller": caller, "sources": [place for place in places if place]}
    # Root's and readable: sshd reads it as the account, which may not change it.
    return view.file(f"{folder}/authorized_keys", "callers/authorized_keys.j2", values=values)


def _ssh_access(user: str) -> Setting:
    """Where Remote Login is for some users alone, this one has to be among them."""
    group = "com.apple.access_ssh"
    there = f"dscl . -read /Groups/{group}"
    member = f"dseditgroup -o checkmember -m {user} {group}"
    return Setting(
        f"ssh for {user}",
        "allowed",
        f"if ! {there} >/dev/null 2>&1 || {member} >/dev/null 2>&1; then echo allowed; fi",
        f"dseditgroup -o edit -a {user} -t user {group}",
    )
