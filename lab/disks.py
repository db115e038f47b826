"""A small disk under a directory of a running host, so that it can really be full."""

import os
from pathlib import Path, PurePosixPath

from lab import boot
from lab.errors import UsageError
from lab.hosts import host_files
from lab.place import Place
from lab.shell import run

_SPACES = ("mount", "pid")  # of processes, too: mount and umount read /proc/self there
SMALLEST = 1 << 20  # bytes; mkfs.ext4 wants some room


def limit(place: Place, name: str, path: str, size: int) -> None:
    """Mount an empty ext4 of `size` bytes on a directory of a running host."""
    if size < SMALLEST:
        raise UsageError(f"a disk of {size} bytes is too small: {SMALLEST} at least")
    inside = boot.inside(place, name, *_SPACES)
    image = host_files(place, name).directory / f"disk-{PurePosixPath(path).name}.img"
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(size)
    run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image)])
    loop = Path(run(["losetup", "--find", "--show", str(image)]).stdout.strip())
    # The host has no node of that device, and mounts need one that is not on a nodev mount.
    node = f"/dev/.lab-{loop.name}"
    device = loop.stat().st_rdev
    script = (
        f'set -e; mkdir -p "$1"; mknod {node} b {os.major(device)} {os.minor(device)}; '
        f'trap "rm -f {node}" EXIT; mount -t ext4 {node} "$1"; rmdir "$1/lost+found"'
    )
    try:
        run([*inside, "sh", "-c", script, "sh", path])
    finally:
        # While it is mounted this only asks for its end with the last mount: so nothing is left
        # behind, however the host ends.
        run(["losetup", "--detach", str(loop)], check=False)
        image.unlink()


def unlimit(place: Place, name: str, path: str) -> None:
    """Take the small disk off a running host's directory again."""
    run([*boot.inside(place, name, *_SPACES), "umount", "--lazy", path])
