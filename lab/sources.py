"""The packages images are made of: found with this machine's own apt, into the lab's cache.

No address of an archive is written down anywhere: they are read from apt's configuration at run
time, so mirrors, proxies and certificates of the machine apply.
"""

import re
import time
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.locks import locked
from lab.shell import run

SUITE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MAX_LIST_AGE = 24 * 3600  # seconds; older package lists may name files the archive dropped
# `Inst NAME (VERSION … [ARCH])`; with `[OLD]` in between where the image has an older one, as when
# the archive moved on after its lower layers were built.
_INSTALL_LINE = re.compile(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) .*\[(\w+)\]\)", re.MULTILINE)


def machine_sources(kind: str = "deb") -> str:
    """Return this machine's Debian archives as one-line sources of the lab's suite."""
    form = "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    listed = run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"]).stdout
    lines = []
    for row in dict.fromkeys(listed.splitlines()):
        origin, uri, release, component = row.split("|")
        if origin == "Debian" and release.startswith(SUITE) and component == "main":
            lines.append(f"{kind} [signed-by={KEYRING}] {uri} {release} {component}\n")
    if not lines:
        raise LabError(
            f"this machine's apt knows no Debian {SUITE} archive; the lab builds its images from "
            "it.\nAdd one to /etc/apt/sources.list.d and run apt-get update, then try again."
        )
    return "".join(lines)


@dataclass(frozen=True)
class Package:
    """One binary package to be installed: its name and the file it was downloaded to."""

    name: str
    file: Path


class Apt:
    """apt for an image's architecture, with its own lists and downloads, none of the machine's."""

    def __init__(self, cache: Path, arch: str, foreign: tuple[str, ...] = ()) -> None:
        self.arch = arch
        self.foreign = foreign
        self.home = cache / "apt" / "-".join((arch, *foreign))
        self.archives = self.home / "archives"
        self._lock = self.home / "apt.lock"
        self._fresh = False

    def install_set(self, packages: list[str], status: Path | None) -> list[Package]:
        """Download `packages` and what they need beyond dpkg's `status`; in unpacking order."""
        with locked(self._lock):
            self._prepare()
            env = self._env(status)
            plan = run([*_APT, "-s", "install", *packages], env=env).stdout
            found = [
                self._package(name, version, arch)
                for name, version, arch in _INSTALL_LINE.findall(plan)
            ]
            if any(not package.file.exists() for package in found):
                run([*_APT, "-d", "install", *packages], env=env)
        missing = [p.file.name for p in found if not p.file.exists()]
        if missing:
            raise LabError(f"apt downloaded everything but {', '.join(missing)}")
        return found

    def source_tarball(self, package: str, folder: Path) -> Path:
        """Download the upstream tarball of Debian's source package; return its path."""
        with locked(self._lock):
            # Lists of its own: apt forgets what it knows of archives that are not in its sources.
            lists = self.home / "lists-src"
            (lists / "partial").mkdir(parents=True, exist_ok=True)
            sources = self.home / "sources-src.list"
            sources.write_text(machine_sources("deb-src"))
            env = self._env(None, sources, lists)
            run(["apt-get", "update"], env=env)
            folder.mkdir(parents=True, exist_ok=True)
            fetch = ["apt-get", "source", "--download-only", "--tar-only", package]
            run(["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(folder), *fetch], env=env)
        tarballs = sorted(folder.glob(f"{package}_*.orig.tar.*"))
        if not tarballs:
            raise LabError(f"apt brought no upstream tarball of {package}")
        return tarballs[0]

    def _package(self, name: str, version: str, arch: str) -> Package:
        bare = name.split(":")[0]
        return Package(bare, self.archives / f"{bare}_{version.replace(':', '%3a')}_{arch}.deb")

    def _prepare(self) -> None:
        if self._fresh:
            return
        for folder in (self.home / "lists" / "partial", self.archives / "partial"):
            folder.mkdir(parents=True, exist_ok=True)
        stamp = self.home / "updated"
        sources = self.home / "sources.list"
        wanted = machine_sources()
        known = sources.read_text() if sources.exists() else ""
        sources.write_text(wanted)
        current = stamp.exists() and time.time() - stamp.stat().st_mtime < MAX_LIST_AGE
        if not current or known != wanted:
            run(["apt-get", "update"], env=self._env(None))
            stamp.touch()
        self._fresh = True

    def _env(
        self, status: Path | None, sources: Path | None = None, lists: Path | None = None
    ) -> dict[str, str]:
        """Write apt's configuration for one call; return the environment that points to it."""
        empty = self.home / "empty-status"
        empty.touch()
        conf = self.home / "apt.conf"
        arches = " ".join(f'"{a}";' for a in (self.arch, *self.foreign))
        conf.write_text(
            f'APT::Architecture "{self.arch}";\n'
            f"APT::Architectures {{ {arches} }};\n"
            f'Dir::State::lists "{lists or self.home / "lists"}";\n'
            f'Dir::State::status "{status or empty}";\n'
            f'Dir::State::extended_states "{self.home}/extended_states";\n'
            f'Dir::Cache::archives "{self.archives}";\n'
            'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
            f'Dir::Etc::sourcelist "{sources or self.home / "sources.list"}";\n'
            'Dir::Etc::sourceparts "/dev/null";\n'
            'Dir::Etc::preferences "/dev/null";\nDir::Etc::preferencesparts "/dev/null";\n'
            'APT::Install-Recommends "false";\nAPT::Sandbox::User "root";\n'
            'Acquire::Languages "none";\nAcquire::Retries "3";\n'
        )
        return {"APT_CONFIG": str(conf), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}


_APT = ["apt-get", "-y", "-q", "--no-remove"]
