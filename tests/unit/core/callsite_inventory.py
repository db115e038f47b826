"""The hosts of deploy_inventory; where an operation stands is asked both ways."""

import sys

from pyinfra import logger
from pyinfra.api import State
from pyinfra.api.util import get_operation_order_from_stack

from fleet.callsite import order_from_frames
from tests.unit.core import deploy_inventory

orchestrator = deploy_inventory.orchestrator
mac = deploy_inventory.mac


def _both(state: State) -> list[int]:
    theirs, ours = get_operation_order_from_stack(state), order_from_frames(state)  # one line
    logger.info("the same place" if theirs == ours else f"{theirs} is not {ours}")
    return ours


setattr(sys.modules["pyinfra.api.operation"], "get_operation_order_from_stack", _both)  # noqa: B010
