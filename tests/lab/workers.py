"""What the compile scheduler has, for tests that change it."""

from __future__ import annotations

from fleet.cluster import nodes
from fleet.target import Target
from tests.lab.agents import until

REGISTRATION_S = 90  # a worker that comes back polls for its scheduler


def members(target: Target) -> set[str]:
    """The hosts that the scheduler has; none while it does not answer."""
    try:
        return {node.name for node in nodes(target)}
    except ConnectionError:
        return set()


def complete(target: Target) -> None:
    """Wait until every host has announced itself."""
    everybody = {host.name for host in target.fleet.hosts}
    until(lambda: members(target) == everybody, REGISTRATION_S)
