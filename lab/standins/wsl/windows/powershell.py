"""powershell.exe: records every script it is given and answers the few questions it knows."""

import base64
import os
import sys
from pathlib import Path
from typing import Final

from .cmdlets import Windows
from .interop import PROFILE, STATE, USER, connected, record, refusal, registry
from .shell import Shell
from .types import local_path

ENVIRONMENT: Final = {
    "userprofile": PROFILE,
    "username": USER,
    "computername": "WINDOWS",
    "localappdata": rf"{PROFILE}\AppData\Local",
    "systemroot": r"C:\Windows",
    "programfiles": r"C:\Program Files",
}
VALUED: Final = ("executionpolicy", "ep", "outputformat", "inputformat", "windowstyle", "version")


def script_of(argv: list[str], stdin: str) -> str:
    """The script that the arguments mean: -Command, -File, -EncodedCommand, or stdin."""
    args = list(argv)
    while args:
        option = args.pop(0)
        name = option.lstrip("-/").lower()
        if not option.startswith(("-", "/")):
            return " ".join([option, *args])
        if name in ("command", "c"):
            return stdin if args == ["-"] else " ".join(args)
        if name in ("encodedcommand", "enc", "e", "ec"):
            return base64.b64decode(args[0]).decode("utf-16-le")
        if name in ("file", "f"):
            return stdin if args[0] == "-" else local_path(args[0]).read_text("utf-8-sig")
        if name in VALUED:
            args.pop(0)
    return stdin


def main(argv: list[str], state: Path = STATE) -> int:
    """Run a script: output has CRLF; status 1 after any error."""
    if not connected(dict(os.environ)):
        sys.stderr.write(refusal() + "\n")
        return 1
    script = script_of(argv, "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read())
    record("powershell", argv, script, state)
    return answer(script, state)


def answer(script: str, state: Path, **environment: str) -> int:
    """Answer a script on stdout and stderr; its exit status.

    `environment` is what differs of the session, the state's own "environment" too, in lower case:
    also standin_build, standin_elevated (yes or no), standin_drive (instead of /mnt).
    """
    with registry(state) as content:
        differing = content.get("environment", {}) | environment
        shell = Shell(Windows(content).run, ENVIRONMENT | differing)
        status = shell.script(script)
    sys.stdout.write("".join(f"{line}\r\n" for text in shell.printed for line in text.split("\n")))
    sys.stderr.write("".join(f"{line}\r\n" for line in shell.errors))
    return status
