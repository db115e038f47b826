"""deploy.py's two verbs: bring a capability to the host at hand, take leave of departed ones.

One host's error is that host's: it is reported, the host is failed, and the others converge.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from pyinfra import host, logger, state
from pyinfra.api.exceptions import PyinfraError
from pyinfra.context import ctx_host

from facts.look import Look, look
from fleet.cache import obtain
from fleet.identity import mismatch
from fleet.plan import Capability, capability_name, context_of, unavailable, view_of
from fleet.problems import FleetError
from fleet.resources import Artifact, Resources
from fleet.target import Target, load_target
from fleet.view import HostView
from operations import builds, files, leftovers, packages, services, settings, users
from operations.change import HostContext, RefusedError


def converge(module: Capability) -> None:
    """Bring one capability to the host, in the order in which its parts need each other."""
    name = capability_name(module)
    with _isolated(name):
        view = _view(host.name)
        if name not in view.capabilities or ctx_host.get() in state.failed_hosts:
            return
        seen = _look(view)
        if reason := mismatch(view.host, seen.system):
            raise RefusedError(reason)
        if reason := unavailable(module, view, seen):
            logger.warning(f"{host.print_prefix}{name} skipped: {reason}")
            return
        _bring(name, module.resources(view), context_of(name, view))


def take_leave() -> None:
    """Remove what the host still carries of capabilities that it no longer has."""
    with _isolated("leftovers"):
        view = _view(host.name)
        if ctx_host.get() in state.failed_hosts:
            return
        context = context_of("leftovers", view)
        leftovers.retire(
            capabilities=frozenset(view.capabilities), context=context, name="leftovers"
        )


def _bring(name: str, want: Resources, context: HostContext) -> None:
    if want.masked:
        services.mask(units=want.masked, context=context, name=f"{name}: masked units")
    if want.packages:
        packages.ensure(packages=want.packages, context=context, name=f"{name}: packages")
    if want.users:
        users.ensure(users=want.users, context=context, name=f"{name}: users")
    files.ensure(want=want, context=context, name=f"{name}: files")
    if want.builds:
        builds.ensure(builds=want.builds, obtain=_source, context=context, name=f"{name}: builds")
    if want.settings:
        settings.ensure(settings=want.settings, context=context, name=f"{name}: settings")
    if want.services:
        services.ensure(services=want.services, context=context, name=f"{name}: services")


def _source(wanted: Artifact) -> Path:
    """The pinned artifact on this machine."""
    return obtain(_target().artifacts.get(wanted.name, _view(host.name).host.arch))


@cache
def _target() -> Target:
    return load_target()


@cache
def _view(name: str) -> HostView:
    return view_of(_target(), name)


def _look(view: HostView) -> Look:
    return look(ctx_host.get(), context_of("look", view).asked)


@contextmanager
def _isolated(name: str) -> Iterator[None]:
    """Turn an exception into this host's failure; pyinfra would stop the run for every host."""
    try:
        yield
    except PyinfraError:
        raise
    except Exception as error:
        known = isinstance(error, RefusedError | FleetError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        logger.error(f"{host.print_prefix}{name}: {reason}")
        state.fail_hosts({ctx_host.get()})
