"""What is made on the host itself, once per version: programs from pinned source, and packages."""

from __future__ import annotations

import hashlib
from functools import partial

from pyinfra.api import operation

from facts.look import Look
from fleet.resources import Build, Resources
from operations.change import Change, Commands, HostContext, Order, carry_out
from operations.shell import verified, words


@operation()
def ensure(order: Order) -> Commands:
    """Build what is not there in its version, from sources that are on the host."""
    for build in order.want().builds:
        yield from carry_out("builds", order, partial(_plan, build))


def _plan(build: Build, want: Resources, context: HostContext, look: Look) -> Change | None:
    return plan(build, look)


def plan(build: Build, look: Look) -> Change | None:
    """The build when it is for this host's manager, and the stamp differs or what it made went."""
    if build.manager and look.system.manager is not build.manager:
        return None
    stamp = look.path(build.stamp)
    wanted = hashlib.sha256(f"{build.version}\n".encode()).hexdigest()
    if stamp and stamp.sha256 == wanted and (not build.makes or look.path(build.makes)):
        return None
    says = f"{build.name} {build.version}: {build.says}"
    source = build.artifact
    if source is None:
        return Change((says,), words(build.script, build.version))
    script = (
        verified(mac=look.system.kernel == "Darwin"),
        words("verified", source.name, source.sha256, source.path),
        words(build.script, source.path),
    )
    return Change((says,), "\n".join(script))
