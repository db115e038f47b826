"""Where something on a host comes from: the capability, the template, and what was read for it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from fleet.history import Line
from fleet.model import Fleet
from fleet.plan import capability, view_of
from fleet.problems import FleetError, show
from fleet.resources import Resources
from fleet.settings import settings_for
from fleet.target import Target

LEARNED = frozenset(
    {
        "tailnet6",
        "tailnet_name",
        "host_keys",
        "dispatch_key",
        "health_key",
        "compiler",
        "environments",
        "networking",
    }
)
CLOSE = 3  # paths that are guessed at


@dataclass(frozen=True)
class Origin:
    """One thing on a host. `keys` are those of fleet.yaml that its capability reads, `values` of
    group_data, `learned` of fleet.lock.yaml; a star stands for all hosts.
    """

    capability: str
    kind: str
    template: str = ""
    keys: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    learned: tuple[str, ...] = ()


def origin(target: Target, name: str, path: str) -> Origin:
    """What brings the path to the host. Raises FleetError, with guesses, when nothing does."""
    view = view_of(target, name)
    known: list[str] = []
    for one in view.capabilities:
        with reading(target.fleet) as read:
            want = capability(one).resources(view)
        things = _things(want)
        if path in things:
            kind, template = things[path]
            return Origin(one, kind, template, *_sorted(read, target.fleet))
        known += things
    close = difflib.get_close_matches(path, known, CLOSE, 0.5)
    fix = f"did you mean {' or '.join(close)}?" if close else f"see: fleet render --host {name}"
    raise FleetError.of(name, f"nothing of the fleet's is at {show(path)}", fix)


def _things(want: Resources) -> dict[str, tuple[str, str]]:
    """Path or unit → its kind, and the template it is rendered from."""
    return {
        **{one.name: ("service", "") for one in want.services},
        **dict.fromkeys(want.masked, ("masked unit", "")),
        **{one.path: ("directory", "") for one in want.directories},
        **{one.path: ("artifact", "") for one in want.artifacts},
        **{one.current: ("program", "") for one in want.programs},
        **{one.makes: ("built from source", "") for one in want.builds if one.makes},
        **{one.path: ("secret" if one.secret else "file", one.template) for one in want.files},
    }


@contextmanager
def reading(fleet: Fleet) -> Iterator[set[str]]:
    """The keys of the model and of group_data that are read inside of the block."""
    places = dict(_places(fleet))
    read: set[str] = set()
    usual = BaseModel.__getattribute__

    def noting(self: BaseModel, name: str) -> Any:  # noqa: ANN401 - any attribute
        place = places.get(id(self))
        if place is not None and name in type(self).model_fields:
            read.add(f"{place}{name}")
        return usual(self, name)

    kept = BaseModel.__dict__.get("__getattribute__")
    setattr(BaseModel, "__getattribute__", noting)  # noqa: B010 - mypy forbids it otherwise
    try:
        yield read
    finally:
        if kept is None:
            del BaseModel.__getattribute__
        else:
            setattr(BaseModel, "__getattribute__", kept)  # noqa: B010


def _places(fleet: Fleet) -> Iterator[tuple[int, str]]:
    """Object → the path of its keys."""
    yield id(fleet), ""
    for host in fleet.hosts:
        yield id(host), f"hosts.{host.name}."
        for part in ("addresses", "ssh", "agent"):
            yield id(getattr(host, part)), f"hosts.{host.name}.{part}."
        yield id(settings_for(host.role.value)), "group_data."
    for operator in fleet.operators:
        yield id(operator), f"operators.{operator.name}."
    if fleet.toolchain:
        yield id(fleet.toolchain), "toolchain."


def _sorted(
    read: set[str], fleet: Fleet
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The keys of fleet.yaml, of group_data, and of the lock, shortened."""
    parents = {key.rpartition(".")[0] for key in read} | {"hosts", "operators"}
    leaves = _starred({key for key in read if key not in parents}, fleet)
    values = {key.partition(".")[2] for key in leaves if key.startswith("group_data.")}
    stated = {key for key in leaves if not key.startswith("group_data.") and key != "hosts"}
    learned = {key for key in stated if key.rpartition(".")[2] in LEARNED}
    return tuple(sorted(stated - learned)), tuple(sorted(values)), tuple(sorted(learned))


def _starred(keys: set[str], fleet: Fleet) -> set[str]:
    """With one entry for a key that was read of several hosts, a star when of all."""
    by_key: dict[str, set[str]] = {}
    found: set[str] = set()
    for key in keys:
        if not key.startswith("hosts."):
            found.add(key)
            continue
        _, name, rest = key.split(".", 2)
        by_key.setdefault(rest, set()).add(name)
    for rest, names in by_key.items():
        some = ",".join(host.name for host in fleet.hosts if host.name in names)
        who = "*" if len(names) == len(fleet.hosts) > 1 else f"{{{some}}}" if "," in some else some
        found.add(f"hosts.{who}.{rest}")
    return found


def last_run(lines: tuple[Line, ...], path: str) -> Line | None:
    """The latest run of a history that has changed the path there."""
    for line in reversed(lines):
        changes = line.get("changes")
        if isinstance(changes, list) and any(path in str(change) for change in changes):
            return line
    return None
