"""Asks every host and the orchestrator how the fleet is, and has it judged."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from fleet import compiletrial, tasktrial
from fleet.expected import expected, inside_script
from fleet.orchestrator import ask
from fleet.plan import view_of
from fleet.problems import FleetError, WrongUsageError, printable, show, suggest
from fleet.ssh import as_root, route
from fleet.status import AT_ONCE
from fleet.target import Target
from orchestrator.health.inside import read_inside
from orchestrator.health.judge import judge
from orchestrator.health.model import Inside, Item, Outside, read_outside

INSIDE_S = 60.0
DEEP_S = 600.0  # hundreds of megabytes are read on a Raspberry Pi
OUTSIDE_S = 90.0


def check(target: Target, *, deep: bool = False, wanted: Sequence[str] = ()) -> tuple[Item, ...]:
    """Every item of the fleet: one execution a host, one more on the orchestrator, all at once;
    then what is tried, as far as it is `wanted` (nothing: all).
    """
    names = [host.name for host in target.fleet.hosts]
    whole = deep and not (wanted and all(tasktrial.is_meant((word,)) for word in wanted))
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        asked = pool.submit(_outside, target)
        inside = dict(zip(names, pool.map(lambda n: _inside(target, n, whole), names), strict=True))
        outside = asked.result()
    boss = view_of(target, target.fleet.orchestrator.name)
    found = judge(expected(boss), inside, outside)
    if not wanted or compiletrial.KIND in wanted:
        found += (compiletrial.compile_item(target, inside, outside),)
    if deep and (hosts := tasktrial.wanted(wanted)) is not None:
        found += tasktrial.task_items(target, hosts, outside)
    return found


def only(items: Sequence[Item], wanted: Sequence[str]) -> tuple[Item, ...]:
    """The items of these kinds, hosts or names. Raises WrongUsageError, with a guess, for none."""
    found: list[Item] = []
    for word in wanted:
        meant = [one for one in items if word in (one.host, one.name, one.kind, *one.kind.split())]
        if not meant:
            known = sorted({one.kind for one in items} | {one.host for one in items if one.host})
            fault = f"no item and no host is called {show(word)}"
            raise WrongUsageError.of("--only", fault, suggest(word, known))
        found += meant
    return tuple(dict.fromkeys(found)) if wanted else tuple(items)


def _inside(target: Target, name: str, deep: bool) -> Inside:
    view = view_of(target, name)
    # All of it is read before a program inside can read standard input.
    script = f"main() {{\n{inside_script(view, deep=deep).decode()}\n}}\nmain </dev/null\n"
    began = time.time()
    answer = as_root(route(view.host, target), script, DEEP_S if deep else INSIDE_S)
    if not answer.reached:
        return Inside(fault=printable(answer.stderr.strip()), silent=answer.nobody_there)
    if answer.code:
        return Inside(fault=printable(answer.stderr.strip()) or f"exit code {answer.code}")
    return read_inside(answer.stdout, began, time.time())


def _outside(target: Target) -> Outside:
    try:
        return read_outside(ask(target, "health", timeout_s=OUTSIDE_S))
    except FleetError as error:
        return Outside(fault="; ".join(problem.fault for problem in error.problems))
    except (LookupError, TypeError, ValueError):
        return Outside(fault="it says something else than it should: fleet apply")
