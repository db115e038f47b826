"""What every tool shares: faults with an exit status, kept state, atomic writes, hidden tools."""

import fcntl
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HIDDEN = Path("/opt/standin/libexec")  # the Linux programs that a Mac does not have
KEPT = "var/db/standin"  # settings that outlive a reboot
EX_USAGE = 64
Value = Any  # what a property list or a JSON file may hold


class ToolError(Exception):
    """Ends a tool: the message goes to stderr as it is, the status is the tool's."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def launch(name: str) -> None:
    """Run the tool darwin.NAME as a program; its main gets the arguments and the root."""
    try:
        status = importlib.import_module(f"darwin.{name}").main(sys.argv[1:], Path("/"))
        sys.stdout.flush()
    except ToolError as fault:
        sys.stdout.flush()
        if str(fault):
            sys.stderr.write(f"{fault}\n")
        status = fault.status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141  # as a shell reports SIGPIPE
    sys.exit(status)


def out(*lines: str) -> None:
    """Print lines to stdout."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


def warn(line: str) -> None:
    """Print a line to stderr."""
    sys.stderr.write(f"{line}\n")


def hidden(*argv: str) -> "subprocess.CompletedProcess[str]":
    """Run a hidden Linux program; its output is captured, its status is the caller's to judge."""
    return subprocess.run(
        [str(HIDDEN / argv[0]), *argv[1:]], capture_output=True, text=True, check=False
    )


def is_root() -> bool:
    """Whether the effective user is root."""
    return os.geteuid() == 0


def write_atomic(path: Path, data: bytes, mode: int | None = None) -> None:
    """Replace a file; mode None keeps the mode of the old one (a new one gets 0644)."""
    if mode is None:
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, mode)
        file.write(data)
    Path(name).replace(path)


def read_state(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty when there is no file."""
    try:
        loaded: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return loaded


@contextmanager
def edit_state(path: Path) -> Iterator[dict[str, Any]]:
    """Change a JSON object in a file, one process at a time; nothing is written on an exception."""
    with locked(path):
        state = read_state(path)
        yield state
        write_atomic(path, (json.dumps(state, indent=1, sort_keys=True) + "\n").encode())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that guards a file while the block runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
