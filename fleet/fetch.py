"""One source of an artifact: what it publishes of the bytes, and the bytes."""

from __future__ import annotations

from pathlib import Path

from fleet import apt, github, npm, web
from fleet.digest import Digest
from fleet.lock import Source
from fleet.progress import Meter


def published(source: Source, version: str) -> Digest | None:
    """The digest that is published at the source; None when there is none.

    Raises FetchError when the source cannot be asked, or does not know the version.
    """
    if source.npm:
        return npm.integrity(source.npm, version)
    if source.apt_source:
        return apt.index_digest(source.apt_source, version)
    return github.asset_digest(source.place)


def fetch(source: Source, version: str, scratch: Path, limit: int, meter: Meter) -> Path:
    """Fetch the file into `scratch`, which is empty; an address gives at most `limit` bytes.

    Nothing of it is to be believed yet. Raises FetchError, or OSError from this machine's disk.
    """
    if source.npm:
        return npm.archive(source.npm, version, scratch)
    if source.apt_source:
        return apt.archive(source.apt_source, version, scratch)
    target = scratch / "download"
    web.download(source.place, target, limit, meter)
    return target
