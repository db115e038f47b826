"""What people should know of a host, and no run can mend."""

from __future__ import annotations

from pyinfra import host, logger
from pyinfra.api import operation

from operations.change import Commands, Order, tell
from operations.records import note


@operation()
def ensure(order: Order) -> Commands:
    """Say the remarks, each once a run."""
    for remark in order.want().remarks:
        said = f"{order.capability}: {remark}"
        if tell((host.name, said), logger.warning, host.print_prefix):
            note("remark", host.name, text=said)
    yield from ()
