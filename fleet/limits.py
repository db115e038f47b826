"""Which hosts `--limit` means: hosts, roles and groups by name."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.kinds import Role, broad_groups
from fleet.model import Fleet
from fleet.problems import WrongUsageError, show, suggest


def limited(fleet: Fleet, limits: Sequence[str]) -> tuple[str, ...]:
    """The names of the hosts that are meant, in the order of fleet.yaml; all without a limit.

    Raises WrongUsageError, with a guess, for a name that means none: pyinfra would do nothing and
    call that a success.
    """
    found: set[str] = set()
    for limit in limits:
        meant = {host.name for host in fleet.hosts if limit in (host.name, *_groups(host.role))}
        if not meant:
            known = [host.name for host in fleet.hosts]
            known += sorted({group for host in fleet.hosts for group in _groups(host.role)})
            fault = f"no host, role or group is called {show(limit)}"
            raise WrongUsageError.of("--limit", fault, suggest(limit, known))
        found |= meant
    return tuple(host.name for host in fleet.hosts if not limits or host.name in found)


def _groups(role: Role) -> tuple[str, ...]:
    return ("all", role.value, *broad_groups(role))  # pyinfra's
