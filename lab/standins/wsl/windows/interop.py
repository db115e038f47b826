"""How Linux reaches Windows: a live interop socket, a log of what was asked, kept state."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

STATE: Final = Path("/var/lib/standin")
USER: Final = "owner"
PROFILE: Final = rf"C:\Users\{USER}"
DISTRO: Final = "Debian"


def connected(environment: dict[str, str]) -> bool:
    """Whether WSL_INTEROP names a socket that someone listens on, as /init wants it."""
    path = environment.get("WSL_INTEROP", "")
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError:
            return False
    return bool(path)


def refusal() -> str:
    """What /init says without a live socket."""
    return f"<3>WSL ({os.getpid()} - ) ERROR: UtilConnectUnix:528: connect failed 2"


def record(program: str, argv: list[str], script: str, state: Path = STATE) -> None:
    """Append one line of JSON to the program's log."""
    entry = {"time": int(time.time()), "argv": argv, "script": script}
    with (state / f"{program}.log").open("a") as log:
        log.write(json.dumps(entry) + "\n")


@contextmanager
def registry(state: Path = STATE) -> Iterator[dict[str, Any]]:
    """The Windows side's rules and tasks; written back unless the block raises."""
    path = state / "windows.json"
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        content = json.loads(file.read() or "{}")
        yield content
        file.truncate(0)
        json.dump(content, file, indent=1, sort_keys=True)
