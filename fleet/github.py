"""The digests that GitHub publishes beside the assets of a release."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator
from typing import Any, NamedTuple

from fleet.digest import Digest, from_prefixed
from fleet.lock import Voucher
from fleet.problems import FetchError
from fleet.web import MissingError, read_json

_ASSET = re.compile(r"https://github\.com/([^/]+/[^/]+)/releases/download/([^/]+)/([^/?#]+)")
_ARCHIVE = re.compile(r"https://github\.com/([^/]+/[^/]+)/archive/(?:refs/tags/)?([^/]+)\.tar\.gz")
_API = "https://api.github.com/repos/{repository}"
_RELEASE = f"{_API}/releases/tags/{{tag}}"


def asset_digest(url: str) -> Digest | None:
    """The published digest of what is at `url`; None when it is no asset, or an older one.

    Raises FetchError when GitHub cannot be asked: not knowing is not the same as none.
    """
    found = _ASSET.fullmatch(url)
    if not found:
        return None
    repository, tag, name = found.groups()
    try:
        release = read_json(_RELEASE.format(repository=repository, tag=tag))
    except MissingError:
        return None
    for asset in release.get("assets", []) if isinstance(release, dict) else []:
        if asset.get("name") == urllib.parse.unquote(name):
            return from_prefixed(str(asset.get("digest")), Voucher.GITHUB)
    return None


class Tag(NamedTuple):
    """A version as a repository names it; `published` in RFC 3339, empty when nobody says."""

    name: str
    published: str = ""


class Place(NamedTuple):
    """A repository, and the tag that an address there belongs to."""

    repository: str
    tag: str


def place(url: str) -> Place | None:
    """What an address at GitHub belongs to; None for any other."""
    found = _ASSET.fullmatch(url) or _ARCHIVE.fullmatch(url)
    return Place(found[1], found[2]) if found else None


def tags(at: Place) -> tuple[Tag, ...]:
    """The latest release and the one of the tag; else, without releases, the newest tags.

    Raises FetchError when GitHub cannot be asked.
    """
    base = _API.format(repository=at.repository)
    try:
        latest = [_tag(read_json(f"{base}/releases/latest"))]
    except MissingError:
        latest = [*_listed(read_json(f"{base}/tags"))]
    try:
        own = [_tag(read_json(_RELEASE.format(repository=at.repository, tag=at.tag)))]
    except MissingError:
        own = []
    return (*latest, *own)


def _tag(release: Any) -> Tag:  # noqa: ANN401 - whatever GitHub says
    try:
        return Tag(str(release["tag_name"]), str(release.get("published_at") or ""))
    except (TypeError, KeyError, AttributeError):
        raise FetchError("GitHub says something else than a release", "try again later") from None


def _listed(said: Any) -> Iterator[Tag]:  # noqa: ANN401 - whatever GitHub says
    for one in said if isinstance(said, list) else ():
        if isinstance(one, dict) and one.get("name"):
            yield Tag(str(one["name"]))
