"""Programs built on the host from pinned source, once per version."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from pyinfra import host, state
from pyinfra.api import operation

from facts.look import Look, look
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
        for number, command in enumerate(carry_out("builds", context, _planner(build))):
            if (
                number == 0
                and state.is_executing
                and absent(build.artifact, look(host, context.asked))
            ):
                yield from deliver(build.artifact, obtain(build.artifact), context)
            yield command


def _planner(build: Build) -> Callable[[Look], Change | None]:
    return lambda look: plan(build, look)


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
