"""The orchestrator's own SSH keys, made there and never leaving it: one for agents, one to look."""

from __future__ import annotations

from fleet.doors import MONITORING
from fleet.learned import DISPATCH_KEY, HEALTH_KEY, public_key
from fleet.resources import Directory, Manager, Package, Resources, Setting, User
from fleet.view import HostView


def resources(view: HostView) -> Resources:
    """On the orchestrator: the accounts that come to other hosts, each with its key pair."""
    if view.host != view.fleet.orchestrator:
        return Resources()
    pairs = (
        _pair(orchestrator_account(view), key_file(view), "key for the agents", DISPATCH_KEY),
        *((_monitoring_pair(view),) if MONITORING in view.capabilities else ()),
    )
    return Resources(
        packages=(Package("openssh-client", {Manager.PACMAN: "openssh"}),),
        users=tuple(one for pair in pairs for one in pair.users),
        directories=tuple(one for pair in pairs for one in pair.directories),
        settings=tuple(one for pair in pairs for one in pair.settings),
        readings=tuple(one for pair in pairs for one in pair.readings),
    )


def _pair(account: User, private: str, what: str, reading: str, group: str = "") -> Resources:
    """An account with a key pair of its own; `group`: which may look into its home as well."""
    folder = private.rpartition("/")[0]
    made = Setting(
        what,
        "made",
        f"if [ -s {private} ] && [ -s {private}.pub ]; then echo made; fi",
        f"rm -f {private} {private}.pub\n"
        f"sudo -n -u {account.name} ssh-keygen -q -t ed25519 -N '' -C agentfleet -f {private}",
    )
    return Resources(
        users=(account,),
        directories=(
            Directory(account.home, mode="0750", owner=account.name, group=group or account.name),
            Directory(folder, mode="0700", owner=account.name, group=account.name),
        ),
        settings=(made,),
        readings=(public_key(reading, f"{private}.pub"),),
    )


def _monitoring_pair(view: HostView) -> Resources:
    """What it has found out is in its home, where the page reads it."""
    account, private = monitor_account(view), health_key_file(view)
    group = view.settings.orchestrator_user
    return _pair(account, private, "key for the looks", HEALTH_KEY, group)


def orchestrator_account(view: HostView) -> User:
    """The account whose processes may talk to agents."""
    role = view.settings
    return User(role.orchestrator_user, home=role.orchestrator_home, comment="talks to the agents")


def key_file(view: HostView) -> str:
    """The private key."""
    return f"{view.settings.orchestrator_home}/.ssh/id_ed25519"


def monitor_account(view: HostView) -> User:
    """The account that asks hosts how they are, and can do nothing else."""
    role = view.settings
    return User(role.monitor_user, home=role.monitor_home, comment="asks hosts how they are")


def health_key_file(view: HostView) -> str:
    """The private key that it asks with."""
    return f"{view.settings.monitor_home}/.ssh/id_ed25519"


def monitor_state(view: HostView) -> str:
    """What the monitoring remembers; empty where there is none."""
    return f"{view.settings.monitor_home}/state.json" if MONITORING in view.capabilities else ""
