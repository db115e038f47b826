"""Where in deploy.py an operation stands, found without reading source files.

pyinfra tells operations apart by the lines that lead to them, and asks `inspect` for those, which
looks up source and module of every frame on the stack: half of the time of a run over many hosts.
The numbers are in the frames already.
"""

from __future__ import annotations

import sys
from types import FrameType

import pyinfra
from pyinfra.api import State
from pyinfra.api.util import PYINFRA_INSTALL_DIR

_WHERE, _NAME = "pyinfra.api.operation", "get_operation_order_from_stack"


def install() -> None:
    """Make pyinfra find the lines this way; one that does it otherwise by now is left alone."""
    module = sys.modules[_WHERE]
    if hasattr(module, _NAME):
        setattr(module, _NAME, order_from_frames)


def order_from_frames(state: State) -> list[int]:
    """The lines from the deploy file on, as pyinfra 3.10 has them (api/util.py)."""
    frames: list[FrameType] = []
    frame: FrameType | None = sys._getframe(1)
    while frame:
        frames.append(frame)
        frame = frame.f_back
    frames.reverse()
    start = 0
    if state.current_deploy_filename:
        names = [frame.f_code.co_filename for frame in frames]
        found = state.current_deploy_filename in names
        start = names.index(state.current_deploy_filename) if found else len(names) - 1
    lines = [state.current_op_file_number] if pyinfra.is_cli else []
    return lines + [
        frame.f_lineno
        for frame in frames[start:]
        if not frame.f_code.co_filename.startswith(PYINFRA_INSTALL_DIR)
    ]
