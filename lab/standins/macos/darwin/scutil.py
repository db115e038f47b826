"""scutil: the three names of a Mac; HostName is the one that `hostname` says."""

import sys
from pathlib import Path
from typing import Final

from .common import (
    EX_USAGE,
    KEPT,
    ToolError,
    edit_state,
    hidden,
    is_root,
    out,
    read_state,
    write_atomic,
)

NAMES: Final = ("ComputerName", "LocalHostName", "HostName")


def main(argv: list[str], root: Path) -> int:
    """`scutil --get NAME` or `scutil --set NAME [VALUE]`."""
    if len(argv) < 2 or argv[0] not in ("--get", "--set") or argv[1] not in NAMES:
        raise ToolError(f"scutil (stand-in): not covered: {' '.join(argv)}", EX_USAGE)
    name, store = argv[1], root / KEPT / "scutil.json"
    if argv[0] == "--get":
        found = read_state(store).get(name)
        if not found:
            raise ToolError(f"{name}: not set")
        out(str(found))
        return 0
    if not is_root() and root == Path("/"):
        raise ToolError("SCPreferencesCommitChanges() failed: Permission denied")
    value = argv[2] if len(argv) > 2 else sys.stdin.readline().strip()
    if name == "LocalHostName" and not value.replace("-", "").isalnum():
        raise ToolError("SCPreferencesSetLocalHostName() failed: Invalid argument")
    with edit_state(store) as kept:
        kept[name] = value
    if name == "HostName":
        write_atomic(root / "etc/hostname", f"{value}\n".encode())
        if root == Path("/"):
            hidden("hostname", value)
    return 0
