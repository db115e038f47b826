"""Reads what templates/monitoring/inside.sh.j2 prints on a host: a fact a line, in tabbed fields.

It is hostile until it is read: a host may print anything, and whatever is no fact is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from orchestrator.health.model import Inside, Service

LINES_MOST = 2000
FIELD_MOST = 300  # characters of one that is text
END = "end"  # the last line: without it the script was cut


def read_inside(text: str, asked: float, answered: float) -> Inside:
    """What a host said between two moments, seconds since 1970 by the asker's clock."""
    found = _Reader()
    for line in text.splitlines()[:LINES_MOST]:
        kind, *fields = line.split("\t")
        if reader := _READERS.get(kind):
            try:
                reader(found, fields)
            except (ValueError, IndexError, LookupError, TypeError, OverflowError):
                continue
    if not found.ended:
        return Inside(fault="it did not say all of it")
    middle, half = (asked + answered) / 2, (answered - asked) / 2
    return Inside(
        offset_s=None if found.clock is None else found.clock - middle,
        give_s=half + 1.0,  # it tells whole seconds
        disks=found.disks,
        services=found.services,
        tailnet=found.tailnet,
        key_s=None if found.expires is None else found.expires - middle,
        ping=found.ping,
        programs=found.programs,
        builds=found.builds,
        files=found.files,
        members=found.members,
    )


class _Reader:
    def __init__(self) -> None:
        self.ended = False
        self.clock: float | None = None
        self.disks: dict[str, int] = {}
        self.services: dict[str, Service] = {}
        self.tailnet = ""
        self.expires: float | None = None
        self.ping: str | None = None
        self.programs: dict[str, str] = {}
        self.builds: dict[str, str] = {}
        self.files: dict[str, str] = {}
        self.members: dict[str, str] = {}

    def read_clock(self, fields: list[str]) -> None:
        self.clock = float(fields[0])

    def read_disk(self, fields: list[str]) -> None:
        self.disks[plain(fields[0])] = int(fields[1].rstrip("%"))

    def read_service(self, fields: list[str]) -> None:
        name, state, enabled = fields
        self.services[plain(name)] = Service(state == "running", enabled == "masked")

    def read_tailnet(self, fields: list[str]) -> None:
        said = json.loads(fields[0])
        self.tailnet = plain(str(said["BackendState"]))
        expiry = (said.get("Self") or {}).get("KeyExpiry")
        if expiry:
            self.expires = datetime.fromisoformat(str(expiry)).astimezone(UTC).timestamp()

    def read_ping(self, fields: list[str]) -> None:
        self.ping = plain(fields[0])

    def read_program(self, fields: list[str]) -> None:
        self.programs[plain(fields[0])] = plain(fields[1])

    def read_build(self, fields: list[str]) -> None:
        self.builds[plain(fields[0])] = plain(fields[1])

    def read_file(self, fields: list[str]) -> None:
        self.files[plain(fields[0])] = plain(fields[1])

    def read_member(self, fields: list[str]) -> None:
        self.members[plain(fields[0])] = plain(fields[1])

    def read_end(self, fields: list[str]) -> None:
        self.ended = True


_READERS: dict[str, Callable[[_Reader, list[str]], None]] = {
    "clock": _Reader.read_clock,
    "disk": _Reader.read_disk,
    "service": _Reader.read_service,
    "tailnet": _Reader.read_tailnet,
    "ping": _Reader.read_ping,
    "program": _Reader.read_program,
    "build": _Reader.read_build,
    "file": _Reader.read_file,
    "member": _Reader.read_member,
    END: _Reader.read_end,
}


def plain(text: str) -> str:
    """Somebody's text in one short line without control characters."""
    return "".join(c if c.isprintable() else "?" for c in text.strip())[:FIELD_MOST]
