"""What a run tells of itself, one JSON object a line: for whoever watches it, and for its end.

Every line has `time` (seconds since 1970), `event` and `host`; the events of operations are

    change   capability, operation, phase (plan or apply), changes, pending, diffs (where wanted)
    skipped  capability, text: a capability that this host cannot have now
    pending  text: what could not be done now, and the next run tries again
    remark   text: what people should know and no run can mend
    failed   text: why the host fails

fleet/engine.py adds what pyinfra itself tells (`connected`, `unreached`, `started`, `ended`).
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from pathlib import Path

from fleet.secrets import redact

RECORDS = "FLEET_RECORDS"  # environment: the file that gets the lines

_applied: dict[str, list[str]] = defaultdict(list)
_failed: dict[str, str] = {}


def note(event: str, host: str, **said: object) -> None:
    """Tell it. Raises OSError when the file cannot be written."""
    if event == "failed":
        _failed.setdefault(host, str(said["text"]))
    if said.get("phase") == "apply":
        changes = said["changes"]
        _applied[host] += list(changes) if isinstance(changes, list | tuple) else []
    if not (path := os.environ.get(RECORDS)):
        return
    line = json.dumps({"time": round(time.time(), 3), "event": event, "host": host, **said})
    # One write to a file that is only appended to: lines of two threads do not mix.
    descriptor = os.open(Path(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{redact(line)}\n".encode())
    finally:
        os.close(descriptor)


def applied(host: str) -> tuple[str, ...]:
    """What this run has changed on the host, in the user's words."""
    return tuple(_applied.get(host, ()))


def fault(host: str) -> str:
    """Why the host has failed in this run, empty when nothing is known of it."""
    return _failed.get(host, "")
