"""Directory records as dscl sees them, backed by /etc/passwd and /etc/group.

A record made by dscl exists before it has an id, so attributes are kept in a side file; the line
in passwd or group appears when the id does, and from then on gives the attributes it can hold.
"""

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .common import KEPT, edit_state, read_state, write_atomic

Attributes = dict[str, list[str]]
PASSWD: Final = ("RecordName", "Password", "UniqueID", "PrimaryGroupID", "RealName",
                 "NFSHomeDirectory", "UserShell")  # fmt: skip
GROUP: Final = ("RecordName", "Password", "PrimaryGroupID", "GroupMembership")
STAFF: Final = "20"


@dataclass(frozen=True)
class Kind:
    """One kind of record: its path in the directory, its file, its fields, its id."""

    name: str
    file: str
    fields: tuple[str, ...]
    id: str


USERS: Final = Kind("Users", "etc/passwd", PASSWD, "UniqueID")
GROUPS: Final = Kind("Groups", "etc/group", GROUP, "PrimaryGroupID")
KINDS: Final = {kind.name: kind for kind in (USERS, GROUPS)}


class Directory:
    """All records of one kind."""

    def __init__(self, kind: Kind, root: Path) -> None:
        self.kind = kind
        self.file = root / kind.file
        self.shadow = self.file.with_name("shadow" if kind is USERS else "gshadow")
        self.side = root / KEPT / f"{kind.name}.json"

    def records(self) -> dict[str, Attributes]:
        """Every record by name, in the file's order."""
        side: dict[str, Attributes] = read_state(self.side)
        found: dict[str, Attributes] = {}
        for line in self.file.read_text().splitlines():
            values = line.split(":")
            if len(values) < len(self.kind.fields):
                continue
            lined = {k: v.split(",") for k, v in zip(self.kind.fields, values, strict=False) if v}
            if "RealName" in lined:
                lined["RealName"] = [",".join(lined["RealName"]).rstrip(",")]
            lined["Password"] = ["*"]
            found[values[0]] = {**side.get(values[0], {}), **lined}
        return {**found, **{name: side[name] for name in side if name not in found}}

    def find(self, name: str) -> Attributes | None:
        """One record; None when there is none."""
        return self.records().get(name)

    def put(self, name: str, attributes: Attributes) -> None:
        """Write a record to the side file and, once it has an id, to the system's file."""
        if "GeneratedUID" not in attributes:
            attributes = {**attributes, "GeneratedUID": [str(uuid.uuid4()).upper()]}
        attributes = {**attributes, "RecordName": [name]}
        with edit_state(self.side) as side:
            side[name] = attributes
            if self.kind.id in attributes:
                self.replace_line(name, self.line(name, attributes))

    def remove(self, name: str) -> None:
        """Remove a record everywhere."""
        with edit_state(self.side) as side:
            side.pop(name, None)
            self.replace_line(name, None)
            self.drop_shadow(name)

    def line(self, name: str, attributes: Attributes) -> str:
        """The line of passwd or group, with macOS's defaults for what is missing."""
        first = {key: values[0] if values else "" for key, values in attributes.items()}
        if self.kind is GROUPS:
            members = ",".join(attributes.get("GroupMembership", []))
            return f"{name}:x:{first['PrimaryGroupID']}:{members}"
        return ":".join([
            name,
            "x",
            first["UniqueID"],
            first.get("PrimaryGroupID", STAFF),
            first.get("RealName", "").replace(":", " "),
            first.get("NFSHomeDirectory", "/var/empty"),
            first.get("UserShell", "/usr/bin/false"),
        ])  # fmt: skip

    def replace_line(self, name: str, line: str | None) -> None:
        """Put a line in the place of the record's old one, or at the end; None removes it."""
        lines = self.file.read_text().splitlines()
        places = [i for i, old in enumerate(lines) if old.split(":")[0] == name]
        kept = [old for i, old in enumerate(lines) if i not in places]
        if line is not None:
            kept.insert(places[0] if places else len(kept), line)
        if kept != lines:
            write_atomic(self.file, ("\n".join(kept) + "\n").encode())
        if line is not None and self.kind is USERS and not places:
            self.lock_password(name)

    def lock_password(self, name: str) -> None:
        """A new user has no usable password, but PAM wants a line in shadow for it."""
        if self.shadow.exists():
            old = self.shadow.read_text()
            if not any(line.startswith(f"{name}:") for line in old.splitlines()):
                write_atomic(self.shadow, f"{old}{name}:*:20000:0:99999:7:::\n".encode())

    def drop_shadow(self, name: str) -> None:
        """Forget the record's line in shadow or gshadow."""
        if self.shadow.exists():
            lines = self.shadow.read_text().splitlines(keepends=True)
            kept = [line for line in lines if line.split(":")[0] != name]
            if kept != lines:
                write_atomic(self.shadow, "".join(kept).encode())
