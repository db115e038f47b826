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
