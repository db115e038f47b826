"""socketfilterfw: the application firewall's settings. It filters nothing."""

from pathlib import Path
from typing import Any, Final

from .common import EX_USAGE, KEPT, ToolError, edit_state, is_root, out, read_state

SWITCHES: Final = {  # option without get/set -> text of (off, on)
    "globalstate": ("Firewall is disabled. (State = 0)", "Firewall is enabled. (State = 1)"),
    "blockall": ("Firewall has block all state set to disabled.",
                 "Firewall has block all state set to enabled."),
    "stealthmode": ("Firewall stealth mode is off", "Firewall stealth mode is on"),
    "allowsigned": ("Automatically allow built-in signed software DISABLED.",
                    "Automatically allow built-in signed software ENABLED."),
    "allowsignedapp": ("Automatically allow downloaded signed software DISABLED.",
                       "Automatically allow downloaded signed software ENABLED."),
    "loggingmode": ("Log mode is off", "Log mode is on"),
}  # fmt: skip


def main(argv: list[str], root: Path) -> int:
    """Run the options one after the other, as the real one does."""
    store, args = root / KEPT / "socketfilterfw.json", list(argv)
    if not args:
        raise ToolError(
            "usage: socketfilterfw [--getglobalstate] [--setglobalstate on|off] ...", 64
        )
    while args:
        option = args.pop(0)
        what = option.removeprefix("--")
        if what == "listapps":
            list_apps(read_state(store))
        elif what[:3] == "get" and what[3:] in SWITCHES:
            out(SWITCHES[what[3:]][read_state(store).get(what[3:], False)])
        elif what == "getappblocked" and args:
            blocked(read_state(store), args.pop(0))
        else:
            change(store, what, args, root)
    return 0


def list_apps(state: dict[str, Any]) -> None:
    """The applications that have a rule."""
    apps = state.get("apps", {})
    out(f"Total number of apps = {len(apps)}", "")
    for number, (path, allowed) in enumerate(sorted(apps.items()), 1):
        word = "Allow" if allowed else "Block"
        out(f"{number} : {path}", f"             (  {word} incoming connections )", "")


def blocked(state: dict[str, Any], path: str) -> None:
    """Whether an application is blocked."""
    allowed = state.get("apps", {}).get(path)
    if allowed is None:
        out("The application is not part of the firewall")
    else:
        out(f"Incoming connection to the application is {'permitted' if allowed else 'blocked'}")


def change(store: Path, what: str, args: list[str], root: Path) -> None:
    """One option that changes something; it takes its value from the arguments."""
    if not is_root() and root == Path("/"):
        raise ToolError("Must be root to change settings.")
    if not args:
        raise ToolError(f"socketfilterfw (stand-in): not covered: --{what}", EX_USAGE)
    value = args.pop(0)
    with edit_state(store) as state:
        apps = state.setdefault("apps", {})
        if what[:3] == "set" and what[3:] in SWITCHES:
            state[what[3:]] = value == "on"
            out(SWITCHES[what[3:]][value == "on"])
        elif what == "remove":
            apps.pop(value, None)
            out(f"Application at path ( {value} ) removed from firewall")
        elif what in ("add", "unblockapp", "blockapp"):
            apps[value] = what != "blockapp"
            out(
                f"Application at path ( {value} ) added to firewall"
                if what == "add"
                else f"Incoming connection to the application is {'un' * apps[value]}blocked"
            )
        else:
            raise ToolError(f"socketfilterfw (stand-in): not covered: --{what}", EX_USAGE)
