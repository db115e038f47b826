"""Locks between processes: one per lab, one per image layer, one for the kernel-wide binfmt."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(file: Path, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock that `file` stands for; the kernel drops it when the holder dies.

    It excludes threads of one process as well. `waiting` is told once when somebody else holds it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if waiting:
                waiting(f"another process works on {file.stem}; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
