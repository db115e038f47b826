"""The hosts of deploy_inventory; what fleet/shortcuts.py finds out is asked both ways."""

import sys
from typing import Any

from pyinfra import logger
from pyinfra.api import Host, State
from pyinfra.api.arguments import pop_global_arguments
from pyinfra.api.util import get_operation_order_from_stack

from fleet.shortcuts import arguments_of_host, order_from_frames
from tests.unit.core import deploy_inventory

orchestrator = deploy_inventory.orchestrator
mac = deploy_inventory.mac


def _both_places(state: State) -> list[int]:
    theirs, ours = get_operation_order_from_stack(state), order_from_frames(state)  # one line
    logger.info("the same place" if theirs == ours else f"not as pyinfra has it: {ours}")
    return ours


def _both_arguments(state: State, host: Host, kwargs: dict[str, Any]) -> Any:
    left = dict(kwargs)
    theirs, ours = pop_global_arguments(state, host, left), arguments_of_host(state, host, kwargs)
    same = theirs == ours and left == kwargs
    logger.info("the same arguments" if same else f"not as pyinfra has it: {ours}")
    return ours


_operation = sys.modules["pyinfra.api.operation"]
setattr(_operation, "get_operation_order_from_stack", _both_places)  # noqa: B010
setattr(_operation, "pop_global_arguments", _both_arguments)  # noqa: B010
