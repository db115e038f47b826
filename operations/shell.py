"""Shell text for the scripts that change hosts: quoting, payloads."""

from __future__ import annotations

import base64
import gzip
import io
import shlex
import tarfile
from collections.abc import Mapping
from urllib.parse import quote as url_quote

quote = shlex.quote


def words(*parts: str) -> str:
    """A command line from separate words."""
    return shlex.join(parts)


def unpack(contents: Mapping[str, bytes], directory: str, *, mac: bool) -> str:
    """Shell that puts `contents` (name → bytes) into an existing directory: one base64 tar.

    macOS before 13 knows only `base64 -D`.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
    packed = base64.encodebytes(gzip.compress(buffer.getvalue(), mtime=0)).decode()
    decode = "base64 -D" if mac else "base64 -d"
    return (
        f"{decode} <<'AGENTFLEET_PAYLOAD' | tar -xzf - -C {directory}\n{packed}AGENTFLEET_PAYLOAD"
    )


def flat(path: str) -> str:
    """A path as a single file name, reversible and readable."""
    return url_quote(path, safe="")


def digest(*, mac: bool) -> str:
    """Shell function `digest FILE`: its SHA-256, nothing when it cannot be read."""
    program = "shasum -a 256" if mac else "sha256sum"
    return f"digest() {{ {program} \"$1\" 2>/dev/null | cut -d ' ' -f 1; }}"


def verified(*, mac: bool) -> str:
    """Shell function `verified NAME SHA256 FILE`: fails, and removes the file, if that is wrong."""
    return f"""{digest(mac=mac)}
verified() {{
    [ -f "$3" ] || fail "$1 is not at $3: a run of all capabilities brings it"
    found=$(digest "$3")
    [ "$found" = "$2" ] && return 0
    rm -f "$3"
    fail "$1 is damaged, $3 is $found, pinned is $2: removed, the next run fetches it again"
}}"""


# Shell function: whether that many bytes fit; where df says nothing sensible, one has to try.
ROOM = """room() { # NAME BYTES DIRECTORY
    free=$(df -Pk "$3" | awk 'NR == 2 { print $4 }')
    case $free in "" | *[!0-9]*) return 0 ;; esac
    [ "$free" -gt $(($2 / 1024)) ] && return 0
    fail "the disk is full: $1 takes $(($2 / 1000000 + 1)) MB in $3, $((free / 1000)) MB are free"
}"""
