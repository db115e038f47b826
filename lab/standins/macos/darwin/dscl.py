"""dscl: read and change users and groups of the local directory node."""

import plistlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .accounts import GROUPS, KINDS, Attributes, Directory
from .common import EX_USAGE, ToolError, is_root, out, warn

NATIVE: Final = ("IsHidden", "_writers_passwd")  # shown with the prefix of native attributes
ALIASES: Final = {"gid": "PrimaryGroupID", "uid": "UniqueID", "passwd": "Password"}


def ds_error(code: int, name: str, status: int) -> ToolError:
    """A directory service error as dscl prints it."""
    return ToolError(f"<dscl_cmd> DS Error: {code} ({name})", status)


def not_found() -> ToolError:
    """The error for a record that is not there."""
    return ds_error(-14136, "eDSRecordNotFound", 56)


def main(argv: list[str], root: Path) -> int:
    """`dscl [-plist|-raw|-q] NODE COMMAND PATH ...`; the minus of a command may be left out."""
    options = [arg for arg in argv[:2] if arg in ("-plist", "-raw", "-q")]
    args = argv[len(options) :]
    if len(args) < 3:
        raise ToolError("dscl (stand-in): the interactive mode is not covered", EX_USAGE)
    node, verb, path, *values = args
    if node not in (".", "/Local/Default", "/Search", "localhost"):
        raise ds_error(-14009, "eDSUnknownNodeName", 72)
    handler = COMMANDS.get(verb.removeprefix("-").lower())
    if handler is None:
        raise ToolError(f"dscl (stand-in): not covered: {verb}", EX_USAGE)
    changing = handler not in (read, list_, search)
    if changing and not is_root() and root == Path("/"):
        warn("<main> attribute status: eDSPermissionError")
        raise ds_error(-14120, "eDSPermissionError", 40)
    directory, name = locate(path, root)
    return handler(directory, name, ["-plist"] * ("-plist" in options) + values)


def locate(path: str, root: Path) -> tuple[Directory, str]:
    """The directory and the record's name that a path such as /Users/_x means."""
    kind, _, name = path.removeprefix("/Local/Default").strip("/").partition("/")
    if kind not in KINDS:
        raise ds_error(-14140, "eDSInvalidRecordType", 60)
    return Directory(KINDS[kind], root), name


def attribute(name: str) -> str:
    """An attribute's short name."""
    short = name.removeprefix("dsAttrTypeStandard:").removeprefix("dsAttrTypeNative:")
    return ALIASES.get(short, short)


def shown(name: str) -> str:
    """The name under which dscl prints an attribute."""
    return f"dsAttrTypeNative:{name}" if name in NATIVE else name


def existing(directory: Directory, name: str) -> Attributes:
    """The record's attributes; a fault when there is no record."""
    record = directory.find(name)
    if record is None:
        raise not_found()
    return record


def read(directory: Directory, name: str, args: list[str]) -> int:
    """`-read PATH [KEY...]`: values with a space stand on lines of their own."""
    plist = args[:1] == ["-plist"]
    wanted = [attribute(key) for key in args[plist:]]
    record = existing(directory, name)
    if plist:
        prefix = {key: f"dsAttrType{'Native' if key in NATIVE else 'Standard'}:" for key in record}
        chosen = {prefix[k] + k: v for k, v in record.items() if not wanted or k in wanted}
        sys.stdout.write(plistlib.dumps(chosen).decode())
        return 0
    for key in wanted or sorted(record):
        if key not in record:
            warn(f"No such key: {key}")
        elif any(" " in value for value in record[key]):
            out(f"{shown(key)}:", *(f" {value}" for value in record[key]))
        else:
            out(f"{shown(key)}: {' '.join(record[key])}".rstrip())
    return 0


def list_(directory: Directory, name: str, args: list[str]) -> int:
    """`-list /Users [KEY]`: names, or names with the values of one attribute."""
    args = [arg for arg in args if arg != "-plist"]
    if name:
        raise ds_error(-14009, "eDSUnknownNodeName", 72)
    records = directory.records()
    if not args:
        out(*sorted(records))
        return 0
    key = attribute(args[0])
    having = {n: " ".join(r[key]) for n, r in sorted(records.items()) if key in r}
    width = max((len(n) for n in having), default=0)
    out(*(f"{n:<{width}}  {value}" for n, value in having.items()))
    return 0


def search(directory: Directory, _name: str, args: list[str]) -> int:
    """`-search /Users KEY VALUE`: the records whose attribute has exactly this value."""
    args = [arg for arg in args if arg != "-plist"]
    if len(args) != 2:
        raise ToolError("usage: search <path> <key> <val>", EX_USAGE)
    key, value = attribute(args[0]), args[1]
    for name, record in sorted(directory.records().items()):
        if value in record.get(key, []):
            out(f"{name}\t\t{shown(key)} = (", f"    {value}", ")")
    return 0


def create(directory: Directory, name: str, args: list[str]) -> int:
    """`-create PATH [KEY [VALUE...]]`: makes the record, replaces the attribute's values."""
    record = dict(directory.find(name) or {})
    if args:
        record[attribute(args[0])] = args[1:]
    check_id(directory, record)
    directory.put(name, record)
    return 0


def check_id(directory: Directory, record: Attributes) -> None:
    """An id must be a number, else the system's file would break."""
    for key in {directory.kind.id, "PrimaryGroupID"} & set(record):
        if not record[key] or not record[key][0].lstrip("-").isdigit():
            warn("<main> attribute status: eDSSchemaError")
            raise ds_error(-14142, "eDSSchemaError", 62)


def append(directory: Directory, name: str, args: list[str]) -> int:
    """`-append PATH KEY VALUE...`: adds values, also ones that are there (as dscl does)."""
    record = existing(directory, name)
    key = attribute(args[0])
    directory.put(name, {**record, key: [*record.get(key, []), *args[1:]]})
    return 0


def merge(directory: Directory, name: str, args: list[str]) -> int:
    """`-merge PATH KEY VALUE...`: adds only the values that are not there."""
    record = existing(directory, name)
    key = attribute(args[0])
    old = record.get(key, [])
    directory.put(name, {**record, key: [*old, *(v for v in args[1:] if v not in old)]})
    return 0


def change(directory: Directory, name: str, args: list[str]) -> int:
    """`-change PATH KEY OLD NEW`."""
    record = existing(directory, name)
    key, old, new = attribute(args[0]), args[1], args[2]
    if old not in record.get(key, []):
        raise ds_error(-14134, "eDSAttributeNotFound", 54)
    directory.put(name, {**record, key: [new if v == old else v for v in record[key]]})
    return 0


def delete(directory: Directory, name: str, args: list[str]) -> int:
    """`-delete PATH [KEY [VALUE...]]`: a record, an attribute, or some of its values."""
    record = existing(directory, name)
    if not args:
        directory.remove(name)
        return 0
    key, gone = attribute(args[0]), args[1:]
    if key not in record:
        raise ds_error(-14134, "eDSAttributeNotFound", 54)
    kept = [value for value in record[key] if value not in gone] if gone else []
    rest = {k: v for k, v in record.items() if k != key}
    directory.put(name, {**rest, key: kept} if kept or directory.kind is GROUPS else rest)
    return 0


COMMANDS: Final[dict[str, Callable[[Directory, str, list[str]], int]]] = {
    "read": read,
    "list": list_,
    "ls": list_,
    "search": search,
    "create": create,
    "append": append,
    "merge": merge,
    "change": change,
    "delete": delete,
}
