"""Programs built on the host from pinned source, once per version."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from facts.look import Look
from fleet.resources import Artifact, Build
from operations.artifacts import absent, deliver
from operations.change import Change, Commands, HostContext, carry_out
from operations.shell import words


@operation()
def ensure(
    builds: tuple[Build, ...], obtain: Callable[[Artifact], Path], context: HostContext
) -> Commands:
    """Build what is not there in its version; `obtain` gives the source on this machine."""
    for build in builds:
        yield from carry_out(
            "builds",
            context,
            partial(plan, build),
            partial(_supply, build.artifact, obtain, context),
        )


def _supply(
    artifact: Artifact, obtain: Callable[[Artifact], Path], context: HostContext, look: Look
) -> Sequence[PyinfraCommand]:
    return tuple(deliver(artifact, obtain(artifact), context)) if absent(artifact, look) else ()


def plan(build: Build, look: Look) -> Change | None:
    """The build when this host's manager is the one it is for and its stamp differs."""
    if look.system.manager is not build.manager:
        return None
    stamp = look.path(build.stamp)
    wanted = hashlib.sha256(f"{build.version}\n".encode()).hexdigest()
    if stamp and stamp.sha256 == wanted:
        return None
    says = f"{build.name} {build.version}: build from source (takes minutes)"
    return Change((says,), words(build.script, build.artifact.path))
