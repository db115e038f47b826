"""The stand-in of tailscale as packages: what apt and pacman install in the lab."""

import hashlib
import shutil
from pathlib import Path

from lab.layers import Builder, Layer
from lab.paths import STANDINS
from lab.shell import run
from lab.tailnet.show import VERSION

FILES = STANDINS / "tailscale"
SCRIPTS = ("postinst", "prerm", "postrm")
# File of the stand-in → where it is in a package, and its mode.
CONTENT = {
    "tailscale": ("usr/bin/tailscale", 0o755),
    "tailscaled": ("usr/sbin/tailscaled", 0o755),
    "tailscaled.service": ("lib/systemd/system/tailscaled.service", 0o644),
    "tailscaled.defaults": ("etc/default/tailscaled", 0o644),
}
CONTROL = f"""\
Package: tailscale
Version: {VERSION}
Architecture: all
Maintainer: the lab <lab@example.com>
Depends: curl
Description: stand-in for Tailscale in the lab
"""


def standin_digest() -> str:
    """Return the digest of the stand-in's files and of how they become packages."""
    files = [*sorted(FILES.iterdir()), Path(__file__)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def prepare_deb(builder: Builder, layer: Layer, inputs: Path) -> None:
    """Make the package for apt."""
    tree = inputs.parent / "tailscale"
    _lay_out(tree)
    control = tree / "DEBIAN"
    control.mkdir()
    (control / "control").write_text(CONTROL)
    (control / "conffiles").write_text("/etc/default/tailscaled\n")
    for name in SCRIPTS:
        shutil.copy(FILES / name, control / name)
        (control / name).chmod(0o755)
    target = inputs / f"tailscale_{VERSION}_all.deb"
    run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(target)])


def prepare_files(builder: Builder, layer: Layer, inputs: Path) -> None:
    """Lay the files out; on Arch everything is below /usr/bin and /usr/lib."""
    tree = inputs / "tailscale"
    _lay_out(tree)
    (tree / "usr/sbin/tailscaled").rename(tree / "usr/bin/tailscaled")
    (tree / "usr/sbin").rmdir()
    (tree / "lib").rename(tree / "usr/lib")
    unit = tree / "usr/lib/systemd/system/tailscaled.service"
    unit.write_text(unit.read_text().replace("/usr/sbin/", "/usr/bin/"))


def _lay_out(tree: Path) -> None:
    for name, (place, mode) in CONTENT.items():
        target = tree / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(FILES / name, target)
        target.chmod(mode)
