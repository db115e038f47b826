"""dseditgroup: create, read, edit and delete local groups, and check who is a member."""

import getopt
from pathlib import Path

from .accounts import GROUPS, USERS, Attributes, Directory
from .common import EX_USAGE, ToolError, is_root, out


def main(argv: list[str], root: Path) -> int:
    """`dseditgroup -o OPERATION [-a|-d NAME] [-m NAME] [-i GID] [-r REALNAME] [-t TYPE] GROUP`."""
    try:
        pairs, rest = getopt.getopt(argv, "o:a:d:m:i:r:t:n:u:P:pqvLT:f:")
    except getopt.GetoptError as error:
        raise ToolError(f"dseditgroup: {error}", EX_USAGE) from error
    options = dict(pairs)
    if len(rest) != 1:
        raise ToolError("Group name was not specified.", EX_USAGE)
    operation, name = options.get("-o", "read"), rest[0]
    groups = Directory(GROUPS, root)
    record = groups.find(name)
    if operation == "create":
        return create(groups, name, record, options)
    if record is None:
        raise ToolError("Group not found.", 64)
    if operation == "checkmember":
        return check_member(record, options["-m"], root)
    if operation == "read":
        out(*(f"dsAttrTypeStandard:{k} -\n\t\t{v}" for k, vs in record.items() for v in vs))
        return 0
    need_root()
    if operation == "delete":
        groups.remove(name)
    elif operation == "edit":
        edit(groups, name, record, options, root)
    else:
        raise ToolError(f"dseditgroup (stand-in): not covered: {operation}", EX_USAGE)
    return 0


def need_root() -> None:
    """Changes need an administrator."""
    if not is_root():
        raise ToolError("Username and password must be provided.", 77)


def create(groups: Directory, name: str, old: Attributes | None, options: dict[str, str]) -> int:
    """Make a group, or set the id and name of one that is there."""
    need_root()
    used = {int(r["PrimaryGroupID"][0]) for r in groups.records().values() if "PrimaryGroupID" in r}
    free = next(number for number in range(501, 60000) if number not in used)
    record = {"PrimaryGroupID": [str(free)], **(old or {})}
    if "-i" in options:
        record["PrimaryGroupID"] = [options["-i"]]
    if "-r" in options:
        record["RealName"] = [options["-r"]]
    groups.put(name, record)
    return 0


def edit(
    groups: Directory, name: str, record: Attributes, options: dict[str, str], root: Path
) -> None:
    """Add or remove one member."""
    members = list(record.get("GroupMembership", []))
    added, removed = options.get("-a"), options.get("-d")
    if added and Directory(USERS, root).find(added) is None:
        raise ToolError("Record not found.", 67)
    if added and added not in members:
        members.append(added)
    groups.put(name, {**record, "GroupMembership": [m for m in members if m != removed]})


def check_member(record: Attributes, user: str, root: Path) -> int:
    """Say whether a user is a member, by list or by primary group."""
    account = Directory(USERS, root).find(user) or {}
    name = record["RecordName"][0]
    primary = account.get("PrimaryGroupID") == record.get("PrimaryGroupID")
    if user in record.get("GroupMembership", []) or (account and primary):
        out(f"yes {user} is a member of {name}")
        return 0
    raise ToolError(f"no {user} is NOT a member of {name}", 67)
