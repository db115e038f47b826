"""What pyinfra finds out for each operation of each host, found out sooner.

Where it stands in deploy.py: pyinfra tells operations apart by the lines that lead to them, and
asks `inspect` for those, which looks up source and module of every frame on the stack: half of the
time of a run over many hosts. The numbers are in the frames already.

How it is to be carried out, such as as root: pyinfra looks for thirty values in all data of the
host, a sixth of the time of what was left. They are the same for all operations of a host.
"""

from __future__ import annotations

import sys
from functools import cache
from types import FrameType
from typing import Any

import pyinfra
from pyinfra.api import Host, State
from pyinfra.api.arguments import AllArguments, all_argument_meta, pop_global_arguments
from pyinfra.api.util import PYINFRA_INSTALL_DIR

_WHERE = "pyinfra.api.operation"


def install() -> None:
    """Make pyinfra find it this way; what it does otherwise by now is left alone."""
    module = sys.modules[_WHERE]
    ways = {
        "get_operation_order_from_stack": order_from_frames,
        "pop_global_arguments": arguments_of_host,
    }
    for name, ours in ways.items():
        if hasattr(module, name):
            setattr(module, name, ours)


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


def arguments_of_host(
    state: State, host: Host, kwargs: dict[str, Any]
) -> tuple[AllArguments, list[str]]:
    """Take the arguments that every operation knows out of `kwargs`, as pyinfra 3.10 does.

    Ours are given a name. Whatever else an operation is given, pyinfra itself sorts out.
    """
    given = [key for key in kwargs if key in all_argument_meta]
    if given != ["name"] or host.current_deploy_kwargs:
        return pop_global_arguments(state, host, kwargs)
    return {**_arguments(state, host), "name": kwargs.pop("name")}, given


@cache
def _arguments(state: State, host: Host) -> AllArguments:
    """What follows from the host's data and pyinfra's configuration; deploy.py changes neither."""
    return pop_global_arguments(state, host, {})[0]
