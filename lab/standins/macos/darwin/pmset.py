"""pmset: power settings that persist. A machine with a battery has two sets and no autorestart."""

from pathlib import Path
from typing import Final

from .common import EX_USAGE, KEPT, ToolError, edit_state, is_root, out, read_state

DEFAULTS: Final = {
    "Sleep On Power Button": 1, "autorestart": 0, "powernap": 1, "standby": 0, "ttyskeepawake": 1,
    "hibernatemode": 0, "disksleep": 10, "displaysleep": 10, "sleep": 1, "womp": 1,
    "networkoversleep": 0, "tcpkeepalive": 1,
}  # fmt: skip
AC: Final = "AC Power"
CLOSED: Final = "SleepDisabled"  # of the whole system: it works with its lid closed
BATTERY: Final = "Battery Power"
SOURCES: Final = {"-a": (BATTERY, AC), "-b": (BATTERY,), "-c": (AC,), "-u": ()}
Settings = dict[str, dict[str, int]]


def main(argv: list[str], root: Path) -> int:
    """`pmset -g [custom|cap|live]`, or `pmset [-a|-b|-c] KEY VALUE...`."""
    store = root / KEPT / "pmset.json"
    battery = (root / "opt/standin/etc/battery").exists()
    if not argv or argv[0] == "-g":
        closed = read_state(store).get(AC, {}).get(CLOSED)
        show((argv[1:] or ["live"])[0], settings(store, battery), closed)
        return 0
    if not is_root() and root == Path("/"):
        raise ToolError("'pmset' must be run as root...", 77)
    sources, pairs = SOURCES["-a"], argv
    if argv[0] in SOURCES:
        sources, pairs = SOURCES[argv[0]], argv[1:]
    if argv[0] in ("sleepnow", "schedule", "repeat", "noidle") or len(pairs) % 2 or not pairs:
        raise ToolError(f"pmset (stand-in): not covered: {' '.join(argv)}", EX_USAGE)
    changed = parse(pairs)
    with edit_state(store) as kept:
        for source in sources:
            kept[source] = {**kept.get(source, {}), **changed}
    return 0


def parse(pairs: list[str]) -> dict[str, int]:
    """KEY VALUE KEY VALUE... as numbers."""
    known = {key.lower(): key for key in DEFAULTS} | {"disablesleep": CLOSED}
    changed = {}
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if key.lower() not in known or not value.isdigit():
            raise ToolError("Usage:  pmset <options>\nSee pmset(1) for details", 64)
        changed[known[key.lower()]] = int(value)
    return changed


def settings(store: Path, battery: bool) -> Settings:
    """What this machine has, by power source; a laptop does not list autorestart."""
    kept = read_state(store)
    supported = {key: value for key, value in DEFAULTS.items()
                 if not (battery and key == "autorestart")}  # fmt: skip
    return {
        source: {key: kept.get(source, {}).get(key, value) for key, value in supported.items()}
        for source in ((BATTERY, AC) if battery else (AC,))
    }


def show(what: str, found: Settings, closed: int | None) -> None:
    """Print what -g asks for."""
    if what == "custom":
        for source, values in found.items():
            out(f"{source}:", *rows(values))
    elif what == "cap":
        out(f"Capabilities for {AC}:", *(f" {key}" for key in found[AC] if " " not in key))
    elif what == "live":
        whole = [] if closed is None else rows({CLOSED: closed})
        out("System-wide power settings:", *whole, "Currently in use:", *rows(found[AC]))
    elif what == "batt":
        out(f"Now drawing from '{AC}'")
    else:
        raise ToolError(f"pmset (stand-in): -g {what} is not covered", EX_USAGE)


def rows(values: dict[str, int]) -> list[str]:
    """Aligned settings."""
    return [f" {key:<20} {value}" for key, value in values.items()]
