"""Pinned downloads on this machine: fetched once, verified, kept; what fails is told."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fleet.cache import obtain
from fleet.lock import Artifact, Source
from fleet.problems import FleetError
from tests.unit.sources import Apt, Npm, Web

CONTENT = b"source"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def pinned(*sources: Source) -> Artifact:
    return Artifact(
        name="x",
        version="1.0.0",
        platform="any",
        sources=sources,
        sha256=DIGEST,
        size=len(CONTENT),
    )


@pytest.fixture
def addresses(web: Web) -> Artifact:
    return pinned(*(Source(origin=o, url=f"{web.url}/{o}") for o in ("first", "second")))


def test_the_first_source_that_has_it(web: Web, addresses: Artifact, cache: Path) -> None:
    web.serve("/first", b"forged")
    web.serve("/second", CONTENT)
    path = obtain(addresses)
    assert path.read_bytes() == CONTENT
    assert path == cache / "artifacts" / DIGEST
    assert [p.name for p in path.parent.iterdir()] == [DIGEST], "nothing else stays"


def test_once_is_enough(
    web: Web, addresses: Artifact, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.serve("/first", CONTENT)
    path = obtain(addresses)
    web.replies.clear()
    web.asked.clear()
    monkeypatch.setenv("PATH", "/nowhere")
    sources = Source(origin="npm", npm="x"), Source(origin="debian", apt_source="x")
    assert obtain(pinned(*sources)) == obtain(addresses) == path
    assert web.asked == []


def test_a_broken_copy_is_fetched_anew(web: Web, addresses: Artifact, cache: Path) -> None:
    web.serve("/first", CONTENT)
    obtain(addresses).write_bytes(b"rotten")
    assert obtain(addresses).read_bytes() == CONTENT


def test_from_npm_and_from_apt(npm: Npm, apt: Apt, cache: Path) -> None:
    npm.publish("@a/x@1.0.0", CONTENT)
    path = obtain(pinned(Source(origin="npm", npm="@a/x")))
    assert path.read_bytes() == CONTENT
    path.unlink()
    apt.publish("x", "1.0.0-1", CONTENT)
    assert obtain(pinned(Source(origin="debian", apt_source="x"))).read_bytes() == CONTENT


def test_every_failure_is_told(
    web: Web, addresses: Artifact, npm: Npm, apt: Apt, cache: Path
) -> None:
    web.serve("/second", b"forged")
    more = Source(origin="npm", npm="x"), Source(origin="debian", apt_source="x")
    with pytest.raises(FleetError) as caught:
        obtain(pinned(*addresses.sources, *more))
    said = str(caught.value)
    assert "first: 127.0.0.1" in said
    assert "answers HTTP 404" in said
    assert f"second: has the digest {hashlib.sha256(b'forged').hexdigest()}" in said
    assert "npm: npm knows no x@1.0.0" in said
    assert "debian: apt has no source packages" in said
    assert f"put the file there yourself: {cache}/artifacts/{DIGEST}" in said
    assert list((cache / "artifacts").iterdir()) == []


def test_a_longer_file_is_not_even_written(web: Web, addresses: Artifact, cache: Path) -> None:
    web.serve("/first", CONTENT, size=1 << 20)
    with pytest.raises(FleetError, match="longer than the 6 bytes"):
        obtain(addresses)


def test_a_cache_that_cannot_be_written(addresses: Artifact, cache: Path) -> None:
    cache.write_text("in the way")
    with pytest.raises(FleetError, match=r"cannot be written: .*\n.*AGENTFLEET_CACHE"):
        obtain(addresses)
