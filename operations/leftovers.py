"""What a host still carries of capabilities that it no longer has."""

from __future__ import annotations

from pyinfra.api import operation

from facts.look import Look
from operations.change import Change, Commands, HostContext, Order, carry_out
from operations.manifest import farewell, manifest_path, orphans
from operations.shell import quote


@operation()
def retire(capabilities: frozenset[str], order: Order) -> Commands:
    """Remove services and files of every capability on the host that is not in `capabilities`."""
    yield from carry_out(
        "leftovers", order, lambda _, context, look: plan(capabilities, context, look)
    )


def plan(capabilities: frozenset[str], context: HostContext, look: Look) -> Change | None:
    """What each manifest of a departed capability lists, minus what another one wants."""
    departed = sorted(set(look.manifests) - capabilities)
    if not departed:
        return None
    entries = [entry for name in departed for entry in orphans(look.manifests[name], context)]
    says, script = farewell(entries, context)
    forget = "\n".join(f"rm -f {quote(manifest_path(context, name))}" for name in departed)
    return Change(
        (*says, *(f"capability {name}: gone" for name in departed)), f"{script}\n{forget}"
    )
