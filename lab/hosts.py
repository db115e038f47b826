"""One host's files: its writable directory, who it is, and the keys it is known by."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.paths import IMAGES, STANDINS
from lab.place import Place
from lab.shell import isolated, tail
from lab.spec import LabHost

IDENTITY = IMAGES / "identity.sh"
STRATA = "strata"  # directory of a lab: what hosts had written when snapshots of them were taken
HOST_KEY = "etc/ssh/ssh_host_ed25519_key.pub"


@dataclass(frozen=True)
class HostFiles:
    """Where a host's files are on this machine."""

    directory: Path

    @property
    def upper(self) -> Path:
        """Return what the host has written since it was made, or brought back to a snapshot."""
        return self.directory / "upper"

    @property
    def made(self) -> Path:
        """Return the mark of a host that is complete: the layers it was made on."""
        return self.directory / "layers"

    @property
    def console(self) -> Path:
        """Return the log of its console, of the last start."""
        return self.directory / "console.log"

    @property
    def boot_env(self) -> Path:
        """Return the file that host.sh reads."""
        return self.directory / "boot.env"

    @property
    def lowers(self) -> str:
        """Return the layers below, as overlayfs wants them."""
        return self.made.read_text().strip()

    @property
    def strata(self) -> tuple[Path, ...]:
        """Return what it had written when snapshots that it stands on were taken, newest first."""
        here = self.directory.parent.parent / STRATA
        return tuple(path for path in map(Path, self.lowers.split(":")) if here in path.parents)

    @property
    def written(self) -> tuple[Path, ...]:
        """Return everything that makes it differ from its image, the latest first."""
        return (self.upper, *self.strata)


def strata_folder(place: Place) -> Path:
    """Return where a lab's strata are."""
    return place.state / STRATA


def host_files(place: Place, name: str) -> HostFiles:
    """Return where a host of this lab has its files."""
    return HostFiles(place.state / "hosts" / name)


def prepare(files: HostFiles) -> None:
    """Make the directories a mount needs, and empty the scratch one."""
    shutil.rmtree(files.directory / "work", ignore_errors=True)
    for name in ("upper", "work", "root"):
        (files.directory / name).mkdir(parents=True, exist_ok=True)


def create(place: Place, host: LabHost, lowers: str) -> None:
    """Make a pristine host above the layers `lowers`; one that was made before stays as it is."""
    files = host_files(place, host.name)
    if files.made.exists():
        return
    shutil.rmtree(files.directory, ignore_errors=True)
    prepare(files)
    table = files.directory / "hosts"
    table.write_text(hosts_file(host.name))
    standin = STANDINS / host.kind / "install.sh"
    env = {
        "LOWERS": lowers,
        "UPPER": str(files.upper),
        "WORK": str(files.directory / "work"),
        "ROOT": str(files.directory / "root"),
        "HOST": host.name,
        "PORT": str(host.port),
        "OS": host.os,
        "KIND": host.kind,
        "VARIANT": host.variant,
        "STANDIN": str(standin) if standin.exists() else "",
        "PUBLIC_KEY": str(place.key.with_suffix(".pub")),
        "HOSTS": str(table),
    }
    done = subprocess.run(
        [*isolated(), "sh", str(IDENTITY)],
        check=False,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise LabError(f"{host.name} could not be made:\n{tail(done)}")
    files.made.write_text(lowers + "\n")


def hosts_file(name: str) -> str:
    """Return a host's /etc/hosts. Of the others it learns from the tailnet, once it has joined."""
    return f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost ip6-loopback\n"


def host_key(files: HostFiles) -> str | None:
    """Return a host's public key, without its comment."""
    try:
        places = (root / HOST_KEY for root in files.written)
        kind, key = next(path for path in places if path.exists()).read_text().split()[:2]
    except (OSError, ValueError, StopIteration):
        return None
    return f"{kind} {key}"
