"""Prepared packages that brew pours and port installs: NAME/VERSION/files, made by install.sh."""

import os
import shutil
from pathlib import Path


def catalogue(store: Path) -> dict[str, Path]:
    """Name -> directory of the one prepared version."""
    versions = sorted(store.glob("*/*")) if store.is_dir() else []
    return {path.parent.name: path for path in versions if path.is_dir()}


def files_of(package: Path) -> list[Path]:
    """The files and links in a package, relative to it, sorted."""
    return sorted(
        path.relative_to(package)
        for path in package.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )


def copy(package: Path, target: Path) -> None:
    """Copy a package's tree over another; links stay links."""
    shutil.copytree(package, target, symlinks=True, dirs_exist_ok=True)


def link(source: Path, place: Path) -> None:
    """Make `place` a relative link to `source`, whatever was there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(os.path.relpath(source, place.parent))


def remove(paths: list[Path], stop: Path) -> None:
    """Remove files, and the directories below `stop` that this leaves empty."""
    for path in paths:
        path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == stop or not parent.is_dir() or any(parent.iterdir()):
                break
            parent.rmdir()
