"""The compile cluster as its scheduler sees it, asked on the scheduler's text console."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleet.settings import settings_for
from fleet.ssh import ask, route
from fleet.target import Target

TIMEOUT_S = 10.0

# From listcs in scheduler/scheduler.cpp: ` NODE (IP:PORT) [PLATFORM] speed=0.00 jobs=0/8 load=0`
_ROW = re.compile(r"^ (\S+) \(([^:)]+):(\d+)\) \[([^\]]*)\] speed=([\d.]+) jobs=(\d+)/(\d+) load=")


@dataclass(frozen=True)
class Node:
    """One iceccd. `port` is 0 when it sends jobs and takes none; `platform` is where it runs."""

    name: str
    address: str
    port: int
    platform: str
    jobs: int
    max_jobs: int


def nodes(target: Target) -> tuple[Node, ...]:
    """The nodes that the scheduler has.

    Raises ConnectionError when the scheduler's host or the scheduler does not answer.
    """
    host = target.fleet.scheduler_host
    # Bound to its interface alone, not to loopback; the console is one port above the scheduler.
    address, port = host.addresses.tailnet or host.name, settings_for(host.role).scheduler_port + 1
    answer = ask(route(host, target), address, port, "listcs\nquit\n", TIMEOUT_S)
    if "200 done" not in answer.stdout:
        reason = answer.stderr or "the scheduler's console says nothing"
        raise ConnectionError(f"{target.fleet.scheduler}: {reason}")
    return parse(answer.stdout)


def parse(text: str) -> tuple[Node, ...]:
    """The nodes in an answer to `listcs`, sorted by name."""
    found = (_ROW.match(line) for line in text.splitlines())
    rows = (match.groups() for match in found if match)
    return tuple(
        sorted(
            (
                Node(name, address, int(port), platform, int(jobs), int(max_jobs))
                for name, address, port, platform, _speed, jobs, max_jobs in rows
            ),
            key=lambda node: node.name,
        )
    )
