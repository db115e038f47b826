"""How a host comes into the fleet: what people do and type, in order."""

from __future__ import annotations

from fleet.model import Host
from fleet.target import fleet_file
from fleet.yamlfile import display


def joining(host: Host) -> list[str]:
    """The steps for a host that is new, or as good as new."""
    name = host.name
    return [
        f"make the machine ready, once, at its console: what `fleet bootstrap {name}` prints",
        f"pin its key: fleet trust {name}",
        f"bring it there: fleet apply --limit {name}",
        "tell the others: fleet apply",
        "put the new policy in the tailnet's admin console: fleet policy",
        f"commit {display(fleet_file())} and the lock beside it",
    ]
