"""stat in BSD's dialect: formats of stat(1) on macOS; GNU's options are illegal here."""

import getopt
import grp
import os
import pwd
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .common import EX_USAGE, ToolError, out, warn

USAGE: Final = "usage: stat [-FLnq] [-f format | -l | -r | -s | -x] [-t timefmt] [file ...]"
RAW: Final = "%d %i %#p %l %u %g %r %z %a %m %c %B %k %b %f %N"
DEFAULT: Final = '%d %i %Sp %l %Su %Sg %r %z "%Sa" "%Sm" "%Sc" "%SB" %k %b %#Xf %N'
SHELL: Final = (
    "st_dev=%d st_ino=%i st_mode=%#p st_nlink=%l st_uid=%u st_gid=%g st_rdev=%r st_size=%z "
    "st_atime=%a st_mtime=%m st_ctime=%c st_birthtime=%B st_blksize=%k st_blocks=%b st_flags=%f"
)
TIME: Final = "%b %e %T %Y"
SPEC: Final = re.compile(r"%(?:([nt%@])|([#+\-0 ]*)(\d*)(?:\.(\d*))?([DOUXFSY]?)([HML]?)(\w))")
TYPES: Final = {
    stat.S_IFREG: ("Regular File", ""),
    stat.S_IFDIR: ("Directory", "/"),
    stat.S_IFLNK: ("Symbolic Link", "@"),
    stat.S_IFSOCK: ("Socket", "="),
    stat.S_IFIFO: ("Fifo File", "|"),
    stat.S_IFBLK: ("Block Device", ""),
    stat.S_IFCHR: ("Character Device", ""),
}
NUMBERS: Final = {
    "d": "st_dev", "i": "st_ino", "l": "st_nlink", "u": "st_uid", "g": "st_gid",
    "r": "st_rdev", "z": "st_size", "b": "st_blocks", "k": "st_blksize",
}  # fmt: skip
TIMES: Final = {"a": "st_atime", "m": "st_mtime", "c": "st_ctime", "B": "st_ctime"}


@dataclass(frozen=True)
class Item:
    """One file as the command line named it."""

    name: str
    status: os.stat_result
    index: int


def main(argv: list[str], _root: Path) -> int:
    """Print one line per file; status 1 when one of them is not there."""
    try:
        pairs, names = getopt.getopt(argv, "f:FLnqlrst:x")
    except getopt.GetoptError as error:
        raise ToolError(f"stat: illegal option -- {error.opt}\n{USAGE}") from error
    options = dict(pairs)
    if {"-l", "-x"} & set(options):
        raise ToolError("stat (stand-in): -l and -x are not covered", EX_USAGE)
    layout = next((text for flag, text in (("-r", RAW), ("-s", SHELL)) if flag in options), DEFAULT)
    layout = options.get("-f", layout)
    status = 0
    for index, name in enumerate(names, 1):
        try:
            found = Path(name).stat() if "-L" in options else Path(name).lstat()
        except OSError as error:
            status = 1
            if "-q" not in options:
                warn(f"stat: {name}: stat: {error.strerror}")
            continue
        text = render(layout, Item(name, found, index), options.get("-t", TIME))
        print(text, end="" if "-n" in options else "\n")
    if not names:
        out("stat (stand-in): standard input is not covered")
    return status


def render(layout: str, item: Item, timefmt: str = TIME) -> str:
    """Fill a format string for one file."""

    def fill(match: re.Match[str]) -> str:
        plain, flags, size, precision, style, piece, datum = match.groups()
        if plain:
            return {"n": "\n", "t": "\t", "%": "%", "@": str(item.index)}[plain]
        text = value(datum, style, piece, "#" in flags, item, timefmt)
        if precision is not None and style == "S":
            text = text[: int(precision or 0)]
        if not size:
            return text
        fill_char = "0" if "0" in flags and "-" not in flags else " "
        return text.ljust(int(size)) if "-" in flags else text.rjust(int(size), fill_char)

    return SPEC.sub(fill, layout)


def value(datum: str, style: str, piece: str, alternate: bool, item: Item, timefmt: str) -> str:
    """The text of one datum."""
    found = item.status
    if datum == "N":
        return item.name
    if datum in "TY":
        return kind(found, piece) if datum == "T" else target(item, arrow=style == "S")
    if datum == "p":
        return mode(found.st_mode, style, piece, alternate)
    if datum in "ug" and style == "S":
        return owner(found.st_uid) if datum == "u" else group(found.st_gid)
    if datum in TIMES:
        return moment(getattr(found, TIMES[datum]), style, timefmt)
    if datum == "f":
        return "-" if style == "S" else number(0, style, "D", alternate)
    if datum in NUMBERS:
        return number(getattr(found, NUMBERS[datum]), style, "D", alternate)
    raise ToolError(f"stat: %{style}{piece}{datum}: bad format")


def kind(found: os.stat_result, piece: str) -> str:
    """The type: a name with H, else the mark of `ls -F`."""
    name, mark = TYPES[stat.S_IFMT(found.st_mode)]
    if piece == "H":
        return name
    return "*" if not mark and stat.S_ISREG(found.st_mode) and found.st_mode & 0o111 else mark


def target(item: Item, arrow: bool) -> str:
    """Where a symbolic link leads; empty for other files."""
    if not stat.S_ISLNK(item.status.st_mode):
        return ""
    return (" -> " if arrow else "") + str(Path(item.name).readlink())


def mode(bits: int, style: str, piece: str, alternate: bool) -> str:
    """The mode, or a piece of it: type (H), set-id and sticky (M), permissions (L)."""
    if style == "S":
        text = stat.filemode(bits)
        return {"": text, "H": text[1:4], "M": text[4:7], "L": text[7:10]}[piece]
    pieces = {"": bits, "H": bits >> 12, "M": (bits >> 9) & 7, "L": bits & 0o777}
    return number(pieces[piece], style, "O", alternate)


def number(amount: int, style: str, default: str, alternate: bool) -> str:
    """A number in decimal, octal or hexadecimal."""
    wanted = style or default
    if wanted == "O":
        return ("0" if alternate and amount else "") + format(amount, "o")
    if wanted == "X":
        return ("0x" if alternate and amount else "") + format(amount, "x")
    return str(amount)


def moment(seconds: float, style: str, timefmt: str) -> str:
    """A time as seconds, with a fraction (F), or as text (S)."""
    if style == "S":
        return time.strftime(timefmt, time.localtime(seconds))
    return f"{seconds:.9f}" if style == "F" else str(int(seconds))


def owner(uid: int) -> str:
    """The name of a user id, or the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group(gid: int) -> str:
    """The name of a group id, or the number; gid 0 is wheel in the image's /etc/group."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
