"""deploy.py's verbs: bring a capability to the host at hand, learn its address, take leave.

One host's error is that host's: it is reported, the host is failed, and the others converge.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path

from pyinfra import host, logger, state
from pyinfra.api.exceptions import PyinfraError
from pyinfra.context import ctx_host

from facts.look import Look
from facts.looking import look
from fleet import learned, orchestrator, secrets, shortcuts
from fleet.cache import obtain
from fleet.history import remember
from fleet.identity import mismatch
from fleet.packed import published, retrieve
from fleet.pins import mirrors, pinned
from fleet.plan import (
    ONLY,
    Capability,
    HostOrder,
    capability,
    capability_name,
    reveal,
    unavailable,
    view_of,
    wanted,
)
from fleet.resources import Artifact, Resources
from fleet.run import RUN, this_run
from fleet.ssh import as_root, route
from fleet.target import Target, load_target
from fleet.view import HostView
from fleet.wipe import NAME as WIPE
from fleet.wipe import WipeOrder
from operations import (
    artifacts,
    builds,
    files,
    guard,
    leftovers,
    packages,
    programs,
    remarks,
    services,
    sessions,
    settings,
    tailnet,
    upgrades,
    users,
    windows,
)
from operations import (
    learn as learning,
)
from operations import (
    wipe as wiping,
)
from operations.change import RefusedError, reason, wrap
from operations.ending import Ending
from operations.records import note

CONFIRM_S = 15.0

shortcuts.install()


def converge(module: Capability) -> None:
    """Bring one capability to the host, in the order in which its parts need each other."""
    name = capability_name(module)
    with _isolated(name):
        if order := _order(name):
            view, seen = order.view, look(ctx_host.get(), order.context().asked)
            if wrong := mismatch(view.host, seen.system):
                raise RefusedError(wrong)
            _require_key(view, seen)
            _bring(name, module.resources(view), order)


def restock(module: Capability) -> None:
    """Bring once more the artifacts alone, after a run has learned of new ones."""
    name = capability_name(module)
    with _isolated(name):
        if order := _order(name):
            artifacts.ensure(order=order, depot=_Depot(), name=f"{name}: new artifacts")
            files.ensure(order=order, name=f"{name}: new artifacts noted")


def _order(name: str) -> HostOrder | None:
    """The capability for the host at hand; None where it is not to be brought."""
    order = HostOrder(name, partial(_view, host.name))
    comes = _meant(name) and name in order.view.capabilities
    if not comes or ctx_host.get() in state.failed_hosts:
        return None
    _ending().state_dirs[host.name] = order.view.settings.state_dir
    return order


def _meant(name: str) -> bool:
    return name in os.environ.get(ONLY, name).split(",")


def learn(what: str) -> None:
    """Note what only the host can tell of itself, for everything that follows from it."""
    if ONLY in os.environ:
        return
    with _isolated("learn"):
        if ctx_host.get() in state.failed_hosts:
            return
        order = HostOrder("learn", partial(_view, host.name))
        learning.ensure(order=order, hear=_hear, learn=_learn, name=f"learn {what}")


def upgrade() -> None:
    """Bring the system's own packages up to date."""
    with _isolated("upgrade"):
        order = HostOrder("upgrade", partial(_view, host.name))
        view, seen = order.view, look(ctx_host.get(), order.context().asked)
        if wrong := mismatch(view.host, seen.system):
            raise RefusedError(wrong)
        _ending().state_dirs[host.name] = view.settings.state_dir
        upgrades.ensure(order=order, name="upgrade: packages")


def wipe() -> None:
    """Remove everything of ours; the host's history and its lock go with the rest."""
    with _isolated(WIPE):
        order = WipeOrder(_view(host.name))
        if wrong := mismatch(order.view.host, look(ctx_host.get(), order.context().asked).system):
            raise RefusedError(wrong)
        wiping.ensure(estate=order.estate, order=order, name="wipe: everything of ours")


def take_leave() -> None:
    """Remove what the host still carries of capabilities that it no longer has."""
    if ONLY in os.environ:
        return
    with _isolated("leftovers"):
        view = _view(host.name)
        if ctx_host.get() in state.failed_hosts:
            return
        order = HostOrder("leftovers", partial(_view, host.name))
        leftovers.retire(capabilities=frozenset(view.capabilities), order=order, name="leftovers")


def _bring(name: str, has: Resources, order: HostOrder) -> None:
    """Declare the operations; `has` tells which kinds of resources there are at all."""
    _bring_software(name, has, order)
    if has.guard:
        guard.arm(order=order, name=f"{name}: guard")
    files.ensure(order=order, name=f"{name}: files")
    if has.builds:
        builds.ensure(order=order, name=f"{name}: builds")
    if has.settings:
        settings.ensure(order=order, name=f"{name}: settings")
    if has.services:
        services.ensure(order=order, name=f"{name}: services")
    if has.node:
        tailnet.ensure(order=order, name=f"{name}: tailnet")
    if has.windows:
        windows.ensure(order=order, name=f"{name}: windows")
    if has.session:
        sessions.ensure(order=order, begin=_begin_session, name=f"{name}: session")
    if has.later or has.remarks:
        remarks.ensure(order=order, name=f"{name}: remarks")
    if has.guard:
        guard.release(order=order, confirm=_confirm, name=f"{name}: confirmed")


def _bring_software(name: str, has: Resources, order: HostOrder) -> None:
    """Before the files that refer to it, so that a download that fails leaves all as it was."""
    if has.masked:
        services.mask(order=order, name=f"{name}: masked units")
    if has.packages:
        packages.ensure(order=order, name=f"{name}: packages")
    if has.users:
        users.ensure(order=order, name=f"{name}: users")
    if has.artifacts or has.builds or has.programs or "artifacts" in has.later:
        artifacts.ensure(order=order, depot=_Depot(), name=f"{name}: artifacts")
    if has.programs:
        programs.ensure(order=order, name=f"{name}: programs")


def _confirm(name: str, script: str) -> str:
    """Run the script through a fresh connection; what went wrong, empty when nothing."""
    answer = as_root(route(_view(name).host, _target()), wrap(script), CONFIRM_S)
    return "" if answer.code == 0 else answer.stderr or f"exit code {answer.code}"


def _require_key(view: HostView, seen: Look) -> None:
    """Ask for the auth key before anything is changed on a host that this run will log in."""
    for name, want in wanted(view).items():
        if want.node is None or not _meant(name):
            continue
        comes = not unavailable(capability(name), view, seen)
        if comes and tailnet.needs_key(want.node, seen):
            reveal(view, want.node.secret)


def _begin_session(name: str) -> str:
    return orchestrator.begin_session(_target(), _view(name).host.name)


def _learn(name: str, now: learned.Learned) -> None:
    learned.learn(_target(), name, now)
    _target.cache_clear()
    _view.cache_clear()


def _hear(name: str, seen: Look) -> tuple[learned.Learned, learned.Learned]:
    elsewhere = _target().known_hosts is not None
    return learned.hear(_view(name).host, seen, repin=elsewhere)


class _Depot:
    """This machine's cache, and who serves in the fleet (operations.artifacts.Depot)."""

    def mirrors(self, host: str) -> tuple[str, ...]:
        return mirrors(_view(host))

    def obtain(self, artifact: Artifact) -> Path:
        if packed := published(_target().fleet, artifact.sha256):
            return retrieve(_target(), packed)
        return obtain(pinned(_view(host.name), artifact))


@cache
def _target() -> Target:
    secrets.install()
    return load_target()


@cache
def _ending() -> Ending:
    """What a run does on its hosts when it ends, however it ends."""
    ending = Ending()
    state.add_callback_handler(ending)
    if RUN not in os.environ:  # else whoever has begun the run notes all of it
        atexit.register(_remember, ending)
    return ending


def _remember(ending: Ending) -> None:
    hosts = {
        name: {
            "outcome": "failed" if line["outcome"] == "failed" else "changed",
            "changes": line["changes"],
            "error": line["fault"],
        }
        for name, line in ending.lines.items()
    }
    if hosts:
        with suppress(OSError):
            remember(_target(), {**this_run().noted, "hosts": hosts})


@cache
def _view(name: str) -> HostView:
    return view_of(_target(), name)


@contextmanager
def _isolated(name: str) -> Iterator[None]:
    """Turn an exception into this host's failure; pyinfra would stop the run for every host."""
    try:
        yield
    except PyinfraError:
        raise
    except Exception as error:
        said = f"{name}: {reason(error)}"
        logger.error(f"{host.print_prefix}{said}")
        with suppress(OSError):
            note("failed", host.name, text=said)
        state.fail_hosts({ctx_host.get()})
