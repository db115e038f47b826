"""What people should know of a host, and no run can mend."""

from __future__ import annotations

from pyinfra import host, logger
from pyinfra.api import operation

from operations.change import Commands, Order, tell


@operation()
def ensure(order: Order) -> Commands:
    """Say the remarks, each once a run."""
    for remark in order.want().remarks:
        tell((host.name, f"{order.capability}: {remark}"), logger.warning, host.print_prefix)
    yield from ()
