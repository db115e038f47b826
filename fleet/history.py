"""What runs have done, a JSON object a line: on this workstation, and on each host for itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fleet.problems import FleetError
from fleet.target import Target
from fleet.workstation import state_dir

MOST = 5000  # runs that are kept here; then the older half goes
Line = dict[str, Any]


def path_of(target: Target) -> Path:
    """The workstation's history of the fleet."""
    return state_dir(target) / "history.jsonl"


def remember(target: Target, line: Mapping[str, object]) -> None:
    """Add a run to the workstation's history."""
    path = path_of(target)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{json.dumps(line, ensure_ascii=False)}\n".encode())
    finally:
        os.close(descriptor)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    if len(lines) > MOST:
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text("".join(lines[-MOST // 2 :]), encoding="utf-8")
        new.replace(path)


def recall(text: str) -> Iterator[Line]:
    """The runs in a history, oldest first; what is no line of one is left out."""
    for line in text.splitlines():
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict):
            yield said


def runs(target: Target) -> tuple[Line, ...]:
    """The workstation's history, oldest first. Raises FleetError when it cannot be read."""
    path = path_of(target)
    try:
        return tuple(recall(path.read_text(encoding="utf-8", errors="replace")))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise FleetError.of(str(path), f"cannot be read: {error.strerror}", "") from None


def left_out(target: Target) -> tuple[str, ...]:
    """The hosts that the last run which meant them did not reach, or did not get to."""
    last: dict[str, str] = {}
    for run in runs(target):
        hosts = run.get("hosts")
        for name, host in hosts.items() if isinstance(hosts, dict) else ():
            if isinstance(host, dict):
                last[name] = str(host.get("outcome", ""))
    return tuple(
        host.name
        for host in target.fleet.hosts
        if last.get(host.name) in ("asleep", "down", "untouched", "stopped")
    )
