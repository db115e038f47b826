"""Files and directories: kind, mode, owner, digest, and the text of those that will change."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from facts.probe import Lines

SHOWN_BYTES = 65536  # of a file that differs; enough for any text worth a diff


class Kind(StrEnum):
    """What has the name."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


_KINDS = {
    "regular file": Kind.FILE,
    "regular empty file": Kind.FILE,
    "directory": Kind.DIRECTORY,
    "symbolic link": Kind.LINK,
}


_GNU_STAT = "stat --printf '%n\\t%F\\t%a\\t%U\\t%G\\t%u\\t%g\\t%s\\t%Y\\n'"
_BSD_STAT = "stat -f '%N%t%HT%t%Mp %Lp%t%Su%t%Sg%t%u%t%g%t%z%t%m'"
_SCRIPT = """
{stat}
echo digests
set --
for path in {names}; do if [ -f "$path" ]; then set -- "$@" "$path"; fi; done # a fifo never ends
sums=$([ $# -eq 0 ] || {digest} "$@")
printf '%s\\n' "$sums"
echo contents
revealed={revealed}
printf '%s\\n' "$sums" | grep -vxF {expected} | while read -r _ path; do
    case "$revealed" in *"
$path
"*)
        echo "$path"
        head -c {bytes} "$path" | base64 | tr -d '\\n'
        echo ;;
    esac
done"""


@dataclass(frozen=True)
class PathState:
    """One name on the host. `owner` and `group` as names, ids beside them; mode in octal.

    `size` in bytes, `mtime` in seconds since 1970. The digest is empty where nobody asked for it.
    `shown` holds the old content of a regular file that differs from what is wanted and may be
    shown; None otherwise.
    """

    kind: Kind
    mode: str
    owner: str
    group: str
    uid: str
    gid: str
    size: int = 0
    mtime: int = 0
    sha256: str = ""
    shown: bytes | None = None


@dataclass(frozen=True)
class PathsProbe:
    """Looks at `paths`; `wanted` has the digest each public file should have.

    Nothing is read of `unread` ones: large files, which are right when they are there.
    """

    paths: tuple[str, ...]
    wanted: Mapping[str, str] = field(default_factory=dict)
    mac: bool = False
    unread: frozenset[str] = frozenset()
    name: str = "paths"

    def script(self) -> str:
        """Print one stat line a path, then digests, then the files that differ."""
        if not self.paths:
            return ":"
        names = " ".join(shlex.quote(path) for path in self.paths)
        stat = _BSD_STAT if self.mac else _GNU_STAT
        digest = "shasum -a 256" if self.mac else "sha256sum"
        expected = "\n".join(f"{self.wanted[path]}  {path}" for path in sorted(self.wanted))
        revealed = "".join(f"\n{path}" for path in sorted(self.wanted)) + "\n"
        return _SCRIPT.format(
            stat=f"{stat} {names}",
            names=" ".join(shlex.quote(path) for path in self.paths if path not in self.unread),
            digest=digest,
            expected=shlex.quote(expected),
            revealed=shlex.quote(revealed),
            bytes=SHOWN_BYTES,
        )

    def parse(self, lines: Lines) -> Mapping[str, PathState]:
        """Return the state of each path that exists."""
        if not self.paths:
            return {}
        digests_at, contents_at = lines.index("digests"), lines.index("contents")
        sums = dict(_digest(line) for line in lines[digests_at + 1 : contents_at] if line)
        rest = lines[contents_at + 1 :]
        shown = dict(zip(rest[::2], rest[1::2], strict=False))
        states = {}
        for line in lines[:digests_at]:
            path, kind, mode, owner, group, uid, gid, size, mtime = line.split("\t")
            states[path] = PathState(
                kind=_KINDS.get(kind.lower(), Kind.OTHER),
                mode=_mode(mode),
                owner=owner,
                group=group,
                uid=uid,
                gid=gid,
                size=int(size),
                mtime=int(mtime),
                sha256=sums.get(path, ""),
                shown=base64.b64decode(shown[path]) if path in shown else None,
            )
        return states


def _mode(said: str) -> str:
    """Four octal digits; BSD prints the first one and the others apart and without zeros."""
    special, _, access = said.rpartition(" ")
    return special + access.zfill(3) if special else access.zfill(4)


def _digest(line: str) -> tuple[str, str]:
    digest, path = line.split(maxsplit=1)
    return path.strip(), digest
