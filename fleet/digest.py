"""What vouches for a file's bytes: a digest that somebody published, compared with the file's."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fleet.lock import Voucher

Algorithm = Literal["sha256", "sha512"]


@dataclass(frozen=True)
class Digest:
    """A published digest, and who publishes it."""

    algorithm: Algorithm
    hex: str
    by: Voucher

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def digest_of(path: Path, algorithm: Algorithm = "sha256") -> str:
    """The file's digest in hexadecimal; the file may be larger than the memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def from_integrity(text: str, by: Voucher) -> Digest | None:
    """The SHA-512 of a subresource integrity string (`sha512-BASE64 …`); None without one."""
    for word in text.split():
        if word.startswith("sha512-"):
            try:
                raw = base64.b64decode(word.removeprefix("sha512-").split("?")[0], validate=True)
            except binascii.Error:
                continue
            if len(raw) == hashlib.sha512().digest_size:
                return Digest("sha512", raw.hex(), by)
    return None


def from_prefixed(text: str, by: Voucher) -> Digest | None:
    """The digest in `sha256:HEX`; None when it is no such thing."""
    found = re.fullmatch(r"sha256:([0-9A-Fa-f]{64})", text)
    return Digest("sha256", found[1].lower(), by) if found else None
