"""Looking for a secret where it must not be."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from lab.api import Lab
from lab.hosts import host_files


def watch_processes(secret: str, stop: threading.Event, found: list[str]) -> None:
    """Watch the command lines of this machine, which the lab's hosts run on too."""
    while not stop.is_set():
        for process in Path("/proc").glob("[0-9]*"):
            try:
                line = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if secret.encode() in line:
                found.append(line.decode(errors="replace"))
        time.sleep(0.02)


def holding(lab: Lab, secret: str) -> set[str]:
    """Every file on any host's disk (logs and journals included) that holds it, as `HOST:/path`."""
    time.sleep(1)  # journald writes late
    found = set()
    for host in lab.fleet.hosts:
        layers = host_files(lab.place, host.name).written
        for depth, layer in enumerate(layers):
            paths = (path for path in _holding(layer, secret) if not covered(path, layers[:depth]))
            found |= {f"{host.name}:{path}" for path in paths}
    return found


def _holding(root: Path, secret: str) -> list[str]:
    done = subprocess.run(
        ["grep", "-rlaF", "-e", secret, str(root)], capture_output=True, text=True, check=False
    )
    return [line.removeprefix(str(root)) for line in done.stdout.splitlines()]


def covered(path: str, later: Sequence[Path]) -> bool:
    """Whether one of the layers above says otherwise: that the file, or a directory on the way to
    it, is gone or is something else. See overlayfs in the kernel's documentation.
    """
    return any(_covers(layer, path) for layer in later)


def _covers(layer: Path, path: str) -> bool:
    at = layer
    for name in Path(path).relative_to("/").parts:
        at = at / name
        if not os.path.lexists(at):
            return False  # nothing was written there
        if at.is_symlink() or not at.is_dir():
            return True  # a whiteout, or another file
        with contextlib.suppress(OSError):
            if os.getxattr(at, "trusted.overlay.opaque") == b"y":
                return True
    return False
