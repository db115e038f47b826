"""What a run would change on a host that has been looked at: the plans of all operations."""

from __future__ import annotations

from collections.abc import Iterator

from facts.look import Look
from fleet.learned import hear
from fleet.plan import capability, context_of, equipped, unavailable
from fleet.resources import Resources
from fleet.view import HostView
from operations import (
    artifacts,
    builds,
    files,
    learn,
    leftovers,
    packages,
    programs,
    services,
    sessions,
    settings,
    tailnet,
    users,
    windows,
)
from operations.plans import Change, HostContext


def differences(view: HostView, look: Look) -> tuple[str, ...]:
    """One line for each change that a run would make now, pending and skipped ones included.

    Raises RefusedError where a run would refuse, FleetError when a secret cannot be had.
    """
    lines: list[str] = []
    for name, want in equipped(view).items():
        if reason := unavailable(capability(name), view, look):
            lines.append(f"{name}: skipped, {reason}")
        else:
            lines += _said(_plans(want, context_of(name, view), look))
    lines += learn.news(*hear(view.host, look))
    context = context_of("leftovers", view)
    leaving = leftovers.plan(frozenset(view.capabilities), context, look)
    return (*lines, *_said(iter((leaving,))))


def _plans(want: Resources, context: HostContext, look: Look) -> Iterator[Change | None]:
    yield services.plan_masks(want.masked, look)
    yield packages.plan(want.packages, look)
    yield users.plan(want.users, context, look)
    yield artifacts.plan(want, context, look)
    yield programs.plan(want, context, look)
    yield files.plan(want, context, look)
    for build in want.builds:
        yield builds.plan(build, look)
    yield settings.plan(want.settings, look)
    yield services.plan(want.services, context, look)
    yield tailnet.plan(want, context, look, _no_secret)
    yield windows.plan(want, look)
    yield sessions.plan(want, look)


def _no_secret(name: str) -> str:
    """Nothing is carried out, so no auth key is asked for."""
    return ""


def _said(changes: Iterator[Change | None]) -> list[str]:
    return [line for change in changes if change for line in (*change.says, *change.pending)]
