"""wsl.exe, wslinfo and wslpath: what tools ask about the distribution they run in."""

import configparser
import os
import re
import sys
from pathlib import Path

from .interop import DISTRO, PROFILE, STATE, connected, record, refusal
from .types import local_path

VERSION = "2.5.7.0"
LISTS = {
    ("-l", "-q"): [DISTRO],
    ("--list", "--quiet"): [DISTRO],
    ("-l", "-v"): ["  NAME      STATE           VERSION", f"* {DISTRO}    Running         2"],
    ("--list", "--verbose"): [
        "  NAME      STATE           VERSION",
        f"* {DISTRO}    Running         2",
    ],
    ("--version",): [f"WSL version: {VERSION}", "Kernel version: 6.6.87.2-1"],
}


def wsl_exe(argv: list[str], state: Path = STATE) -> int:
    """wsl.exe: answers in UTF-16, as the real one; everything else is only recorded."""
    if not connected(dict(os.environ)):
        sys.stderr.write(refusal() + "\n")
        return 1
    record("wsl", argv, "", state)
    text = "".join(f"{line}\r\n" for line in LISTS.get(tuple(argv), []))
    sys.stdout.buffer.write(text.encode("utf-16-le"))
    return 0


def networking_mode(config: Path) -> str:
    """The mode in a .wslconfig; nat without one."""
    parser = configparser.ConfigParser(strict=False)
    parser.read(config)
    return parser.get("wsl2", "networkingMode", fallback="nat").lower()


def wslinfo(argv: list[str]) -> int:
    """wslinfo --networking-mode|--version|--wsl-version."""
    if argv == ["--networking-mode"]:
        print(networking_mode(local_path(PROFILE) / ".wslconfig"))
    elif argv in (["--version"], ["--wsl-version"]):
        print(VERSION)
    else:
        sys.stderr.write("Invalid command line argument\n")
        return 1
    return 0


def wslpath(argv: list[str]) -> int:
    """wslpath [-u|-w|-m] PATH: drive letters under /mnt only."""
    path = argv[-1] if argv else ""
    mode = argv[0] if len(argv) > 1 else "-u"
    drive = re.fullmatch(r"/mnt/([a-z])(/.*)?", path)
    if mode == "-u":
        print(local_path(path))
    elif mode in ("-w", "-m") and drive:
        slash = "/" if mode == "-m" else "\\"
        print(f"{drive[1].upper()}:{(drive[2] or '/').replace('/', slash)}")
    else:
        sys.stderr.write(f"wslpath: {path}: Invalid argument\n")
        return 1
    return 0
