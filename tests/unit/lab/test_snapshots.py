"""What a host has, where it stands on layers; snapshots that cannot be gone back to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.snapshot import _check_layers
from tests.lab.secrecy import covered

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make whiteouts")


def test_nothing_is_covered_by_what_does_not_speak_of_it(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/other").touch()
    assert not covered("/etc/key", [tmp_path])
    assert not covered("/var/log/key", [tmp_path])
    assert not covered("/etc/other", [])


def test_another_file_covers_it(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/key").touch()
    (tmp_path / "var").symlink_to("/nowhere")
    assert covered("/etc/key", [tmp_path])
    assert covered("/var/log/key", [tmp_path]), "there is no directory any more"


@needs_root
def test_a_whiteout_and_a_directory_made_anew_cover_it(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mknod(tmp_path / "etc/key", 0o20000)  # a device 0:0
    (tmp_path / "box").mkdir()
    assert covered("/etc/key", [tmp_path])
    assert not covered("/box/key", [tmp_path])
    os.setxattr(tmp_path / "box", "trusted.overlay.opaque", b"y")
    assert covered("/box/key", [tmp_path])


def test_a_snapshot_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    """Its hosts would come back empty."""
    (tmp_path / "layers").write_text(f"{tmp_path}\n")
    _check_layers(tmp_path)
    (tmp_path / "upper").mkdir()
    with pytest.raises(LabError, match="take it anew"):
        _check_layers(tmp_path)
