"""Unix sockets at paths of any length, although the kernel takes 107 bytes."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CREDENTIALS = struct.Struct("iII")  # process, user, group


@contextmanager
def _short(file: Path) -> Iterator[str]:
    folder = os.open(file.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{file.name}"
    finally:
        os.close(folder)


def listen(file: Path, mode: int) -> socket.socket:
    """Listen at a path, in the place of whoever listened there before."""
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with _short(part) as path:
        listener.bind(path)
    part.chmod(mode)
    listener.listen()
    part.rename(file)
    return listener


def connect(file: Path, timeout: float) -> socket.socket:
    """Connect to who listens at a path; raises OSError."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(timeout)
    try:
        with _short(file) as path:
            client.connect(path)
    except OSError:
        client.close()
        raise
    return client


def peer_user(connection: socket.socket) -> int:
    """The user id of who is at the other end."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: int = _CREDENTIALS.unpack(found)[1]
    return user
