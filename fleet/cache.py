"""Pinned downloads on this machine: fetched once, verified, kept by digest."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.digest import digest_of
from fleet.fetch import fetch
from fleet.lock import Artifact
from fleet.problems import FetchError, FleetError
from fleet.progress import waiting


def cache_dir() -> Path:
    """$AGENTFLEET_CACHE, or agentfleet in the user's cache directory."""
    stated = os.environ.get("AGENTFLEET_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(stated or f"{base}/agentfleet").expanduser()


def kept(sha256: str) -> Path:
    """Where the file with that digest is kept, if it is."""
    return cache_dir() / "artifacts" / sha256


def obtain(artifact: Artifact) -> Path:
    """The artifact's file on this machine, fetched from the first source that has it.

    Raises FleetError naming every source and what was wrong with it.
    """
    path = kept(artifact.sha256)
    if path.is_file() and digest_of(path) == artifact.sha256:
        return path
    failures = []
    for source in artifact.sources:
        what = f"fetching {artifact.name} {artifact.version} from {source.origin}"
        with scratch() as folder, waiting(what, bar=False) as meter:
            try:
                fetched = fetch(source, artifact.version, folder, artifact.size, meter)
                if (found := digest_of(fetched)) != artifact.sha256:
                    raise FetchError(f"has the digest {found}, pinned is {artifact.sha256}")
                fetched.replace(path)
            except OSError as error:
                failures.append(f"{source.origin}: {error}")
            else:
                return path
    raise FleetError.of(
        "artifacts.lock.yaml",
        f"{artifact.name} {artifact.version} could not be fetched ({'; '.join(failures)})",
        f"put the file there yourself: {path}",
    )


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on the cache's disk for what is not verified yet; nothing of it stays.

    Raises FleetError when the cache cannot be written to.
    """
    parent = cache_dir() / "artifacts"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=parent)
    except OSError as error:
        fix = "make it writable, or name another directory: AGENTFLEET_CACHE"
        raise FleetError.of(str(parent), f"cannot be written: {error.strerror}", fix) from None
    with folder as name:
        yield Path(name)
