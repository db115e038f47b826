"""The orchestrator's own SSH key, made there and never leaving it: with it, it reaches agents."""

from __future__ import annotations

from fleet.learned import DISPATCH_KEY, public_key
from fleet.resources import Directory, Manager, Package, Resources, Setting, User
from fleet.view import HostView


def resources(view: HostView) -> Resources:
    """On the orchestrator: the account that talks to agents, and its key pair."""
    if view.host != view.fleet.orchestrator:
        return Resources()
    account = orchestrator_account(view)
    private = key_file(view)
    folder = private.rpartition("/")[0]
    made = Setting(
        "key for the agents",
        "made",
        f"if [ -s {private} ] && [ -s {private}.pub ]; then echo made; fi",
        f"rm -f {private} {private}.pub\n"
        f"sudo -n -u {account.name} ssh-keygen -q -t ed25519 -N '' -C agentfleet -f {private}",
    )
    return Resources(
        packages=(Package("openssh-client", {Manager.PACMAN: "openssh"}),),
        users=(account,),
        directories=(
            Directory(account.home, mode="0750", owner=account.name, group=account.name),
            Directory(folder, mode="0700", owner=account.name, group=account.name),
        ),
        settings=(made,),
        readings=(public_key(DISPATCH_KEY, f"{private}.pub"),),
    )


def orchestrator_account(view: HostView) -> User:
    """The account whose processes may talk to agents."""
    role = view.settings
    return User(role.orchestrator_user, home=role.orchestrator_home, comment="talks to the agents")


def key_file(view: HostView) -> str:
    """The private key."""
    return f"{view.settings.orchestrator_home}/.ssh/id_ed25519"
