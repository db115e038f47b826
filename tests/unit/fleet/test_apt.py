"""Debian source packages: the right version, its digest in the index, its upstream archive."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fleet.apt import archive, index_digest
from fleet.lock import Voucher
from fleet.problems import FetchError
from tests.unit.sources import Apt


def test_the_wanted_version_of_several(apt: Apt, tmp_path: Path) -> None:
    for version in ("1.3-2", "2:1.4-1", "1.4.1-1"):
        apt.publish("tool", version, version.encode())
    found = index_digest("tool", "1.4")
    assert found.hex == hashlib.sha256(b"2:1.4-1").hexdigest()
    assert found.by is Voucher.APT
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    file = archive("tool", "1.4", scratch)
    assert (file.name, file.read_bytes()) == ("tool_1.4.orig.tar.gz", b"2:1.4-1")


def test_a_version_that_is_not_there(apt: Apt) -> None:
    apt.publish("tool", "1.4-1", b"content")
    with pytest.raises(FetchError, match=r"no upstream archive of tool 1\.5") as caught:
        index_digest("tool", "1.5")
    assert caught.value.fix == "apt has 1.4"
    with pytest.raises(FetchError, match="no upstream archive of other") as caught:
        index_digest("other", "1.5")
    assert caught.value.fix == "check the name: apt-cache showsrc other"


def test_no_source_packages_in_apts_sources(apt: Apt) -> None:
    with pytest.raises(FetchError, match="no source packages") as caught:
        index_digest("tool", "1.4")
    assert "deb-src" in caught.value.fix


def test_an_archive_that_does_not_come(apt: Apt, tmp_path: Path) -> None:
    apt.publish("tool", "1.4-1", b"content")
    (apt.folder / "tool=1.4-1").rename(tmp_path / "elsewhere")
    with pytest.raises(FetchError, match="apt says: E: Failed to fetch it"):
        archive("tool", "1.4", tmp_path)


def test_a_machine_without_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FetchError, match="no apt-cache here"):
        index_digest("tool", "1.4")
