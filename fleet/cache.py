"""Pinned downloads on this machine: fetched once, verified, kept by digest."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from fleet.lock import Artifact, Source
from fleet.problems import FleetError

TIMEOUT_S = 60
CHUNK = 1 << 16


def cache_dir() -> Path:
    """$AGENTFLEET_CACHE, or agentfleet in the user's cache directory."""
    stated = os.environ.get("AGENTFLEET_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(stated or f"{base}/agentfleet").expanduser()


def obtain(artifact: Artifact) -> Path:
    """The artifact's file on this machine, fetched from the first source that has it.

    Raises FleetError naming every source and what was wrong with it.
    """
    path = cache_dir() / "artifacts" / artifact.sha256
    if path.is_file() and _sha256(path) == artifact.sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for source in artifact.sources:
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            try:
                fetched = _way(source)(source, artifact, Path(scratch))
                if (found := _sha256(fetched)) != artifact.sha256:
                    raise OSError(f"has the digest {found}, pinned is {artifact.sha256}")
                fetched.replace(path)
            except (OSError, subprocess.SubprocessError) as error:
                failures.append(f"{source.origin}: {error}")
            else:
                return path
    raise FleetError.of(
        "artifacts.lock.yaml",
        f"{artifact.name} {artifact.version} could not be fetched ({'; '.join(failures)})",
        f"put the file there yourself: {path}",
    )


def _way(source: Source) -> Callable[[Source, Artifact, Path], Path]:
    if source.url:
        return _from_url
    if source.apt_source:
        return _from_apt
    raise OSError("this way of fetching is not supported yet")


def _from_url(source: Source, artifact: Artifact, scratch: Path) -> Path:
    target = scratch / "download"
    with (
        urllib.request.urlopen(str(source.url), timeout=TIMEOUT_S) as response,  # noqa: S310 - https only, checked by the lock's reader
        target.open("wb") as file,
    ):
        _copy(response, file, artifact.size)
    return target


def _copy(response: IO[bytes], file: IO[bytes], size: int) -> None:
    """Copy, but never more than the pinned size."""
    left = size
    while chunk := response.read(min(CHUNK, left + 1)):
        left -= len(chunk)
        if left < 0:
            raise OSError(f"is longer than the pinned {size} bytes")
        file.write(chunk)


def _from_apt(source: Source, artifact: Artifact, scratch: Path) -> Path:
    """The upstream archive of a Debian source package, where apt knows source packages."""
    command = ["apt-get", "source", "--download-only", "--tar-only", str(source.apt_source)]
    run = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    found = sorted(scratch.glob("*.orig.tar.*"))
    if not found:
        raise OSError(run.stderr.strip().splitlines()[-1] if run.stderr.strip() else "no archive")
    return found[0]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
