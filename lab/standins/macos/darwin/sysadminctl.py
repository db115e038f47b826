"""sysadminctl: add and delete local users; what it says goes to stderr, as on a Mac."""

import time
from pathlib import Path
from typing import Final

from .accounts import GROUPS, STAFF, USERS, Directory
from .common import EX_USAGE, ToolError, is_root, warn

VALUED: Final = ("-addUser", "-deleteUser", "-fullName", "-UID", "-GID", "-shell", "-password",
                 "-home", "-hint", "-picture", "-adminUser", "-adminPassword")  # fmt: skip
ROLE_IDS: Final = range(200, 401)


def say(text: str) -> None:
    """A line in the style of NSLog."""
    warn(f"{time.strftime('%Y-%m-%d %H:%M:%S')}.000 sysadminctl[1:1] {text}")


def main(argv: list[str], root: Path) -> int:
    """`sysadminctl -addUser NAME [...] [-admin] [-roleAccount]` or `-deleteUser NAME`."""
    options: dict[str, str] = {}
    args = iter(argv)
    for arg in args:
        options[arg] = next(args, "") if arg in VALUED else "yes"
    if not is_root() and root == Path("/"):
        say("Operation is not permitted without secure token unlock.")
        return 1
    if "-addUser" in options:
        return add(options["-addUser"], options, root)
    if "-deleteUser" in options:
        return delete(options["-deleteUser"], root)
    raise ToolError("sysadminctl (stand-in): only -addUser and -deleteUser are covered", EX_USAGE)


def add(name: str, options: dict[str, str], root: Path) -> int:
    """Make a user; a role account has an underscore, an id of 200 to 400, no home, no shell."""
    users = Directory(USERS, root)
    if users.find(name) is not None:
        say(f"User {name} already exists")
        return 0
    role = "-roleAccount" in options
    if role and (not name.startswith("_") or int(options.get("-UID", 0)) not in ROLE_IDS):
        say("Role accounts require name starting with _ and UID in 200-400 range.")
        return 1
    used = {int(r["UniqueID"][0]) for r in users.records().values() if "UniqueID" in r}
    free = next(number for number in range(501, 60000) if number not in used)
    home = "/var/empty" if role else f"/Users/{name}"
    users.put(name, {
        "UniqueID": [options.get("-UID", str(free))],
        "PrimaryGroupID": [options.get("-GID", STAFF)],
        "RealName": [options.get("-fullName", name)],
        "NFSHomeDirectory": [options.get("-home", home)],
        "UserShell": [options.get("-shell", "/usr/bin/false" if role else "/bin/zsh")],
        **({"IsHidden": ["1"]} if role else {}),
    })  # fmt: skip
    if "-admin" in options:
        groups = Directory(GROUPS, root)
        admin = groups.find("admin") or {"PrimaryGroupID": ["80"]}
        members = admin.get("GroupMembership", [])
        groups.put("admin", {**admin, "GroupMembership": [*members, name]})
    say(f"Creating user record… {name}")
    return 0


def delete(name: str, root: Path) -> int:
    """Delete a user; the home stays, which the real one removes."""
    users = Directory(USERS, root)
    if users.find(name) is None:
        say(f"Unknown user {name}")
        return 1
    users.remove(name)
    say(f"Deleting record for {name}")
    return 0
