"""The digests of GitHub's releases: of the asset itself, or none."""

from __future__ import annotations

import re

import pytest

from fleet import github
from fleet.github import asset_digest
from fleet.lock import Voucher
from fleet.problems import FetchError
from tests.unit.sources import Web

HEX = "ab" * 32


@pytest.fixture
def asset(web: Web, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where an asset is; the server stands for GitHub and for its API."""
    real = github._ASSET.pattern
    assert real.startswith(r"https://github\.com/")
    here = real.replace(r"https://github\.com", re.escape(web.url))
    monkeypatch.setattr(github, "_ASSET", re.compile(here))
    api = github._RELEASE.replace("https://api.github.com", web.url)
    monkeypatch.setattr(github, "_RELEASE", api)
    return f"{web.url}/owner/tool/releases/download/v1.2/tool%2B1.tar.gz"


def publish(web: Web, **asset: object) -> None:
    assets = [{"name": "other", "digest": f"sha256:{'0' * 64}"}, asset]
    web.serve_json("/repos/owner/tool/releases/tags/v1.2", {"assets": assets})


def test_of_the_asset_itself(web: Web, asset: str) -> None:
    publish(web, name="tool+1.tar.gz", digest=f"sha256:{HEX}")
    found = asset_digest(asset)
    assert found is not None
    assert (str(found), found.by) == (f"sha256:{HEX}", Voucher.GITHUB)


def test_older_assets_have_none(web: Web, asset: str) -> None:
    publish(web, name="tool+1.tar.gz", digest=None)
    assert asset_digest(asset) is None
    publish(web, name="another")
    assert asset_digest(asset) is None


def test_no_such_release(asset: str) -> None:
    assert asset_digest(asset) is None


def test_not_knowing_is_not_the_same_as_none(web: Web, asset: str) -> None:
    web.serve("/repos/owner/tool/releases/tags/v1.2", status=403)
    with pytest.raises(FetchError, match="HTTP 403"):
        asset_digest(asset)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/owner/tool/releases/download/v1.2/tool.tar.gz",
        "https://github.com/owner/tool/archive/1.4.tar.gz",
    ],
)
def test_nobody_is_asked_about_anything_else(url: str, web: Web) -> None:
    assert asset_digest(url) is None
    assert web.asked == []
