"""Looking for a secret where it must not be."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

from lab import boot
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
    return {
        f"{host.name}:{path}"
        for host in lab.fleet.hosts
        for root in host_files(lab.place, host.name).written
        for path in _holding(root, secret)
        if _is_so_now(lab, host.name, path, secret)
    }


def _holding(root: Path, secret: str) -> list[str]:
    done = subprocess.run(
        ["grep", "-rlaF", "-e", secret, str(root)], capture_output=True, text=True, check=False
    )
    return [line.removeprefix(str(root)) for line in done.stdout.splitlines()]


def _is_so_now(lab: Lab, host: str, path: str, secret: str) -> bool:
    """Whether that is what the host has: a lower layer's file may be gone, or another one."""
    process = boot.first_process(lab.place, host)
    assert process, f"{host} is off, and what it would have nobody can tell"
    seen = f"/proc/{process}/root{path}"
    return subprocess.run(["grep", "-qaF", "-e", secret, seen], check=False).returncode == 0
