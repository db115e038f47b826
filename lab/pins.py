"""What is pinned in a lab: the repository's downloads, and stand-ins for what cannot run there.

AgentAPI is in no registry, and programs for macOS do not run on a lab's Mac, which is Linux. Their
stand-ins are pinned, delivered and installed as the real ones are. A Pi's Claude Code is the build
for x86_64, which runs natively there: emulated, each start takes 26 s of a processor, natively 3.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from functools import cache
from pathlib import Path

from fleet.cache import kept, scratch
from fleet.lock import ArtifactsLock, Pin, PinnedArtifact, Source, read_artifacts_lock
from fleet.target import artifacts_file
from lab.paths import STANDINS
from lab.standins.agentapi.build import build

ORIGIN = "lab"
AGENTAPI, AGENTAPI_VERSION = "agentapi", "0.12.1-lab"
CLAUDE, MAC = "claude-code", "darwin-x86_64"
PC, PI = "linux-x86_64", "linux-aarch64"
PLATFORMS = (MAC, PI, PC)
ANOTHER = "FLEET_LAB_CLAUDE"  # environment: makes the Macs' stand-in another version
EMULATED = "FLEET_LAB_EMULATED"  # environment: a Pi gets its own architecture's Claude Code
MEMBER = "package/claude"  # as in the real npm package


def artifacts() -> ArtifactsLock:
    """The pins of a lab; the stand-ins' files are in the cache afterwards."""
    lock = read_artifacts_lock(artifacts_file())
    api = _pin(_agentapi(), "agentapi")
    lock = lock.with_artifact(
        AGENTAPI,
        PinnedArtifact(version=AGENTAPI_VERSION, platforms=dict.fromkeys(PLATFORMS, api)),
    )
    if claude := lock.artifacts.get(CLAUDE):
        played = _pin(claude_archive(os.environ.get(ANOTHER, "")), "claude-code")
        platforms = {**claude.platforms, MAC: played}
        if PC in platforms and not os.environ.get(EMULATED):
            platforms[PI] = platforms[PC]
        lock = lock.with_artifact(CLAUDE, claude.model_copy(update={"platforms": platforms}))
    return lock


@cache
def _agentapi() -> bytes:
    return build()


def claude_archive(note: str = "") -> bytes:
    """The stand-in for Claude Code as an npm package; a `note` makes it another one."""
    program = (STANDINS / "claude" / "claude").read_bytes()
    content = program + f"# {note}\n".encode() if note else program
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(MEMBER)
        member.size, member.mode = len(content), 0o755
        archive.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def _pin(content: bytes, name: str) -> Pin:
    digest = hashlib.sha256(content).hexdigest()
    file = kept(digest)
    if not file.is_file() or file.read_bytes() != content:
        _keep(file, content)
    source = Source(origin=ORIGIN, url=f"https://lab.invalid/{name}")  # never asked: it is here
    return Pin(sources=(source,), sha256=digest, size=len(content), vouched=())


def _keep(file: Path, content: bytes) -> None:
    """Put content into the cache, whole or not at all; several labs may do so at once."""
    with scratch() as folder:
        part = folder / file.name
        part.write_bytes(content)
        part.replace(file)
