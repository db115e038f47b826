"""The digests that GitHub publishes beside the assets of a release."""

from __future__ import annotations

import re
import urllib.parse

from fleet.digest import Digest, from_prefixed
from fleet.lock import Voucher
from fleet.web import MissingError, read_json

_ASSET = re.compile(r"https://github\.com/([^/]+/[^/]+)/releases/download/([^/]+)/([^/?#]+)")
_RELEASE = "https://api.github.com/repos/{repository}/releases/tags/{tag}"


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
