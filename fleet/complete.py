"""What a shell may complete: names that the fleet's files have. Silent about whatever is wrong.

Everything is imported when it is asked for: somebody waits for each of these with a finger on Tab.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps

import click

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def _quiet(find: Callable[[click.Context], Iterable[str]]) -> Complete:
    @wraps(find)
    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        try:
            return [name for name in find(ctx) if name.startswith(incomplete)]
        except Exception:  # a message in the middle of a line helps nobody
            return []

    return complete


@_quiet
def hosts(ctx: click.Context) -> Iterable[str]:
    """The hosts; those of a file that is being edited, and not valid, too."""
    said = ctx.params.values()  # those that are on the line already
    named = {one for value in said if isinstance(value, tuple) for one in value}
    return [name for name in _written("hosts") if name not in named]


@_quiet
def operators(_: click.Context) -> Iterable[str]:
    """The operators."""
    return _written("operators")


@_quiet
def roles(_: click.Context) -> Iterable[str]:
    """The roles."""
    from fleet.kinds import Role

    return list(Role)


@_quiet
def limits(ctx: click.Context) -> Iterable[str]:
    """What `--limit` takes: hosts, roles, and groups of roles."""
    from fleet.kinds import GROUP_NAMES

    return [*_written("hosts"), *sorted(GROUP_NAMES - {"inventory"})]


@_quiet
def units(ctx: click.Context) -> Iterable[str]:
    """The services of the host that is on the line already."""
    from fleet.plan import view_of
    from fleet.target import load_target
    from fleet.units import units as of_host

    target = load_target("lab" if ctx.find_root().params.get("lab") else None)
    return of_host(view_of(target, str(ctx.params["host"])))


@_quiet
def downloads(_: click.Context) -> Iterable[str]:
    """What is pinned."""
    from fleet.lock import read_artifacts_lock
    from fleet.target import artifacts_file

    return read_artifacts_lock(artifacts_file()).artifacts


def _written(block: str) -> list[str]:
    """The keys of a block of fleet.yaml."""
    from fleet.target import fleet_file
    from fleet.yamlfile import read_document

    data = read_document(fleet_file()).data
    return [str(key) for key in data[block]] if isinstance(data, dict) else []
