"""newsyslog: reads its configuration and says what it would do; it rotates nothing."""

import getopt
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .common import EX_USAGE, ToolError, is_root, out

FIELDS: Final = 5  # file, mode, count, size, when: what every line must have


@dataclass(frozen=True)
class Entry:
    """One line of the configuration."""

    log: str
    owner: str
    mode: str
    count: int
    size: int | None  # kilobytes
    when: str
    flags: str


def main(argv: list[str], root: Path) -> int:
    """`newsyslog -n [-v] [-f CONFIG] [-d DIRECTORY]`."""
    try:
        pairs, _ = getopt.getopt(argv, "CFNPVnrsvd:f:R:a:t:S:D:")
    except getopt.GetoptError as error:
        raise ToolError(f"newsyslog: illegal option -- {error.opt}") from error
    options = dict(pairs)
    if not is_root() and root == Path("/") and "-r" not in options:
        raise ToolError("newsyslog: must have root privs")
    if "-n" not in options:
        raise ToolError("newsyslog (stand-in): only -n is covered, nothing is rotated", EX_USAGE)
    files = [Path(options["-f"])] if "-f" in options else default_files(root)
    for file in files:
        for entry in read(file):
            say(entry, root)
    return 0


def default_files(root: Path) -> list[Path]:
    """The main file and all that it includes on a Mac."""
    return [root / "etc/newsyslog.conf", *sorted((root / "etc/newsyslog.d").glob("*.conf"))]


def read(file: Path) -> list[Entry]:
    """The entries of a configuration file; a fault for a line that newsyslog would refuse."""
    entries = []
    try:
        text = file.read_text()
    except OSError as error:
        raise ToolError(f"newsyslog: {file}: {error.strerror}") from error
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if line and not line.startswith("<include>"):
            entries.append(parse(line))
    return entries


def parse(line: str) -> Entry:
    """One line; owner:group is the only field that may be missing in the middle."""
    fields = line.split()
    owner = fields.pop(1) if len(fields) > 1 and ":" in fields[1] else ""
    if len(fields) < FIELDS:
        raise ToolError(f"newsyslog: malformed line (missing fields):\n{line}")
    log, mode, count, size, when, *rest = fields
    if not mode.isdigit() or set(mode) - set("01234567"):
        raise ToolError(f"newsyslog: error in config file; bad permissions:\n{line}")
    if not count.isdigit():
        raise ToolError(f"newsyslog: error in config file; bad count:\n{line}")
    if not size.isdigit() and size != "*":
        raise ToolError(f"newsyslog: error in config file; bad size:\n{line}")
    flags = rest[0] if rest and not rest[0].startswith("/") else ""
    if set(flags.upper()) - set("BCDGJNRUXZ-"):
        raise ToolError(f"newsyslog: illegal flag in config file -- {flags}")
    return Entry(log, owner, mode, int(count), int(size) if size != "*" else None, when, flags)


def say(entry: Entry, root: Path) -> None:
    """What newsyslog would do now for one entry, in its own words."""
    log = root / entry.log.lstrip("/")
    if not log.exists():
        out(f"{entry.log} <{entry.count}{entry.flags}>: does not exist, skipped.")
        return
    size = -(-log.stat().st_size // 1024)
    decision = "trimming log...." if entry.size is not None and size >= entry.size else "skipped."
    limit = f" [{entry.size}]" if entry.size is not None else ""
    out(f"{entry.log} <{entry.count}{entry.flags}>: size (Kb): {size}{limit} --> {decision}")
