"""systemsetup: network time, remote login and the time zone; only root may ask."""

from pathlib import Path
from typing import Final

from .common import EX_USAGE, KEPT, ToolError, edit_state, hidden, is_root, out, read_state

LABELS: Final = {  # option without get/set -> label, default, name that a set prints
    "usingnetworktime": ("Network Time", "On", "setUsingNetworkTime"),
    "networktimeserver": ("Network Time Server", "time.apple.com", "setNetworkTimeServer"),
    "timezone": ("Time Zone", "GMT", "Set TimeZone"),
    "remotelogin": ("Remote Login", "On", "setremotelogin"),
    "restartpowerfailure": ("Restart After Power Failure", "Off", "setrestartpowerfailure"),
    "restartfreeze": ("Restart After Freeze", "On", "setrestartfreeze"),
    "computersleep": ("Computer Sleep", "Never", "setcomputersleep"),
}


def main(argv: list[str], root: Path) -> int:
    """`systemsetup -getX` or `-setX [-f] VALUE`."""
    if not is_root() and root == Path("/"):
        raise ToolError("You need administrator access to run this tool... exiting!")
    words = [arg for arg in argv if arg != "-f"]
    verb = (words or [""])[0].lower()
    what = verb[4:]
    if verb[:4] not in ("-get", "-set") or what not in LABELS:
        raise ToolError(f"systemsetup (stand-in): not covered: {' '.join(argv)}", EX_USAGE)
    label, default, shown = LABELS[what]
    store = root / KEPT / "systemsetup.json"
    if verb.startswith("-get"):
        out(f"{label}: {read_state(store).get(what, default)}")
        return 0
    if len(words) < 2:
        raise ToolError(f"{words[0]} requires a value")
    value = words[1].title() if words[1].lower() in ("on", "off") else words[1]
    with edit_state(store) as kept:
        kept[what] = value
    if what == "remotelogin" and root == Path("/"):
        hidden("systemctl", "start" if value == "On" else "stop", "standin-sshd.socket")
    out(f"{shown}: {value}")
    return 0
