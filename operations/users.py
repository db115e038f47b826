"""System accounts for daemons: no password, no shell, hidden on a Mac's login screen."""

from __future__ import annotations

from pyinfra.api import operation

from facts.look import Look
from fleet.resources import User
from operations.change import Change, Commands, HostContext, Order, carry_out
from operations.shell import quote

_LINUX = """useradd --system --user-group --no-create-home --home-dir {home} \\
    --shell {shell} --comment {comment} {name}"""
# macOS has no useradd; ids below 500 are the system's. The first id is taken that neither a user
# nor a group has. UniqueID comes last: by it `id` knows the account, so that one whose creation was
# interrupted counts as missing.
_MAC = """taken=$( (dscl . -list /Users UniqueID; dscl . -list /Groups PrimaryGroupID) |
    awk '{{ print $NF }}')
id=300
while echo "$taken" | grep -qx "$id"; do id=$((id + 1)); done
[ "$id" -lt 500 ] || fail 'no free id below 500 for {name}'
dscl . -create /Groups/{name}
dscl . -create /Groups/{name} PrimaryGroupID "$id"
dscl . -create /Users/{name}
dscl . -create /Users/{name} PrimaryGroupID "$id"
dscl . -create /Users/{name} UserShell {shell}
dscl . -create /Users/{name} NFSHomeDirectory {home}
dscl . -create /Users/{name} RealName {comment}
dscl . -create /Users/{name} IsHidden 1
dscl . -create /Users/{name} UniqueID "$id"
"""


@operation()
def ensure(order: Order) -> Commands:
    """Create the accounts that are missing; existing ones are left as they are."""
    yield from carry_out(
        "users", order, lambda want, context, look: plan(want.users, context, look)
    )


def plan(users: tuple[User, ...], context: HostContext, look: Look) -> Change | None:
    """The accounts that are missing."""
    missing = tuple(user for user in users if user.name not in look.users)
    if not missing:
        return None
    template = _MAC if context.mac else _LINUX
    nobody = "/usr/bin/false" if context.mac else "/usr/sbin/nologin"
    return Change(
        tuple(f"user {user.name}: create" for user in missing),
        "\n".join(
            template.format(
                name=user.name,
                home=quote(user.home),
                comment=quote(user.comment or user.name),
                shell=user.login_shell or nobody,
            )
            for user in missing
        ),
    )
