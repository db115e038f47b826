"""Debian source packages, with this machine's own apt: the upstream archive and its digest."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fleet.digest import Digest
from fleet.lock import Voucher
from fleet.problems import FetchError

_FILE = re.compile(r"^ ([0-9a-f]{64}) +[0-9]+ +(\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class _Listed:
    """A source package in apt's index, which the archive signs."""

    version: str  # Debian's, such as 1.4-1
    upstream: str
    digests: dict[str, str]  # file name → SHA-256

    @property
    def archive(self) -> str:
        """The name of the upstream archive; empty for a package that is Debian's own."""
        names = (n for n in self.digests if re.search(r"\.orig\.tar\.[a-z0-9]+$", n))
        return next(names, "")


def index_digest(package: str, version: str) -> Digest:
    """The digest of the upstream archive in apt's index. Raises FetchError."""
    listed = _find(package, version)
    return Digest("sha256", listed.digests[listed.archive], Voucher.APT)


def versions(package: str) -> tuple[str, ...]:
    """The upstream versions of a source package that apt knows here. Raises FetchError."""
    known = tuple(dict.fromkeys(one.upstream for one in _known(package) if one.archive))
    if not known:
        fix = f"check the name: apt-cache showsrc {package}"
        raise FetchError(f"apt knows no upstream archive of {package}", fix)
    return known


def archive(package: str, version: str, scratch: Path) -> Path:
    """Fetch the upstream archive of that upstream version into `scratch`; apt verifies it."""
    listed = _find(package, version)
    only = ["source", "--download-only", "--tar-only", "--only-source"]
    run = _run(["apt-get", *only, f"{package}={listed.version}"], scratch)
    path = scratch / listed.archive
    if not path.is_file():
        raise FetchError(f"apt says: {_last(run)}", "check this machine's network; apt-get update")
    return path


def _known(package: str) -> tuple[_Listed, ...]:
    run = _run(["apt-cache", "showsrc", "--only-source", package])
    if "deb-src" in run.stderr:
        fix = "add deb-src to its sources (Types: deb deb-src), then apt-get update"
        raise FetchError("apt has no source packages in its sources here", fix)
    return tuple(_parse(run.stdout))


def _find(package: str, version: str) -> _Listed:
    known = [listed for listed in _known(package) if listed.archive]
    found = next((listed for listed in known if listed.upstream == version), None)
    if found is None:
        there = ", ".join(dict.fromkeys(listed.upstream for listed in known))
        fix = f"apt has {there}" if there else f"check the name: apt-cache showsrc {package}"
        raise FetchError(f"apt knows no upstream archive of {package} {version}", fix)
    return found


def _parse(text: str) -> Iterator[_Listed]:
    """The entries of `apt-cache showsrc`, as apt prints them."""
    for entry in text.split("\n\n"):
        version = re.search(r"^Version: (\S+)$", entry, re.MULTILINE)
        sums = re.search(r"^Checksums-Sha256:\s*\n((?: .*\n?)+)", entry, re.MULTILINE)
        if version and sums:
            upstream = version[1].partition(":")[2] or version[1]
            digests = {name: digest for digest, name in _FILE.findall(sums[1])}
            yield _Listed(version[1], upstream.rpartition("-")[0] or upstream, digests)


def _run(command: list[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        fix = "fetch it on Debian, or give other sources"
        raise FetchError(f"there is no {command[0]} here", fix) from None


def _last(run: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in run.stderr.splitlines() if line.startswith(("E:", "Err:"))]
    return lines[0] if lines else f"exit code {run.returncode}"
