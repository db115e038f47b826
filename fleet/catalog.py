"""Where the fleet's programs are published: what `fleet pin` takes when nobody states a source."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from fleet.lock import ANY


class Published(NamedTuple):
    """A program: the version that this code was written with, and its sources.

    A source is written as for `fleet pin --source`: PLATFORM:ORIGIN=WHERE.
    """

    version: str
    sources: tuple[str, ...]


_NPM = "npm:@anthropic-ai/claude-code"  # one package a platform, each with one program in it
_AGENTAPI = "https://github.com/coder/agentapi/releases/download/v{version}/agentapi"

CATALOG: Mapping[str, Published] = {
    "agentapi": Published(
        "0.12.1",
        (
            f"linux-x86_64:github={_AGENTAPI}-linux-amd64",
            f"linux-aarch64:github={_AGENTAPI}-linux-arm64",
            f"darwin-x86_64:github={_AGENTAPI}-darwin-amd64",
        ),
    ),
    "claude-code": Published(
        "2.1.330",
        (
            f"linux-x86_64:npm={_NPM}-linux-x64",
            f"linux-aarch64:npm={_NPM}-linux-arm64",
            f"darwin-x86_64:npm={_NPM}-darwin-x64",
        ),
    ),
}


def sources(name: str, platforms: Collection[str]) -> tuple[str, ...]:
    """The sources of the program for those platforms that are not among `platforms`."""
    known = CATALOG.get(name)
    if known is None or ANY in platforms:
        return ()
    return tuple(source for source in known.sources if source.partition(":")[0] not in platforms)


def command(name: str, version: str = "") -> str:
    """The command that pins the program in a version, by default the one known here."""
    known = CATALOG.get(name)
    if known is None:
        return f"fleet pin {name} {version or 'VERSION'} --source [PLATFORM:]ORIGIN=WHERE"
    return f"fleet pin {name} {version or known.version}"
