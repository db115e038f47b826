"""Pinned files on hosts: delivered once, verified before they have their name, kept by digest."""

from __future__ import annotations

from pathlib import Path

from pyinfra.api.command import FileUploadCommand, StringCommand

from facts.look import Look
from fleet.resources import Artifact
from operations.change import Commands, HostContext, wrap
from operations.shell import quote


def absent(artifact: Artifact, look: Look) -> bool:
    """Whether the host lacks the artifact, or has other bytes under its name."""
    now = look.path(artifact.path)
    return now is None or now.sha256 != artifact.sha256


def deliver(artifact: Artifact, local: Path, context: HostContext) -> Commands:
    """Upload the artifact as the login user, then let root copy, verify and name it.

    Verified after the copy: what the login user may write to is not trusted.
    """
    parcel = f"/tmp/agentfleet-{artifact.sha256}"  # noqa: S108 - untrusted until verified
    yield FileUploadCommand(str(local), parcel, _sudo=False)
    yield StringCommand("sh -s", _stdin=wrap(receive(artifact, parcel, context)))


def receive(artifact: Artifact, parcel: str, context: HostContext) -> str:
    """Shell that takes the uploaded parcel in; a wrong digest names both and changes nothing."""
    digest = "shasum -a 256" if context.mac else "sha256sum"
    directory, target = artifact.path.rsplit("/", 1)[0], quote(artifact.path)
    return f"""mkdir -p {quote(directory)}
trap {quote(f"rm -f {quote(parcel)} {target}.new")} EXIT
cp {quote(parcel)} {target}.new
found=$({digest} {target}.new | cut -d ' ' -f 1)
[ "$found" = {artifact.sha256} ] ||
    fail "{artifact.name} arrived as $found, pinned is {artifact.sha256}: not installed"
chmod 0644 {target}.new
mv -f {target}.new {target}"""
