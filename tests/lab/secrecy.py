"""Looking for a secret where it must not be."""

from __future__ import annotations

import subprocess
import threading
import time
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
    """Every file of any host (logs and journals included) that holds it, as `HOST:/path`."""
    time.sleep(1)  # journald writes late
    roots = {host.name: host_files(lab.place, host.name).upper for host in lab.fleet.hosts}
    done = subprocess.run(
        ["grep", "-rlaF", "-e", secret, *map(str, roots.values())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    files = set()
    for line in done.stdout.splitlines():
        for name, root in roots.items():
            line = line.replace(str(root), f"{name}:")
        files.add(line)
    return files
