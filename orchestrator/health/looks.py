"""Asks every host how it is: the others over SSH, with a key that can ask nothing else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from orchestrator.health.inside import plain, read_inside
from orchestrator.health.model import Inside
from orchestrator.sessions import AgentError, Agents, converse
from orchestrator.silence import is_silence

AT_ONCE = 16
LOOK_S = 60.0  # of one host
MOST_BYTES = 256 << 10  # of what one says
UNREACHABLE = 255  # ssh's own exit code


def looks(others: Agents, here: str, script: str) -> Mapping[str, Inside]:
    """How each host says that it is, all asked at the same time. `here` runs the script itself."""
    # Whatever is asked for: the key runs the one script that it is for.
    commands = {name: others.ssh(name, "inside") for name in others.places} | {here: [script]}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(commands, pool.map(_look, commands.values()), strict=True))


def _look(command: list[str]) -> Inside:
    began = time.time()
    try:
        run = converse(command, b"", LOOK_S, MOST_BYTES)
    except (AgentError, OSError) as error:
        return Inside(fault=plain(str(error)))
    if run.late:
        return Inside(fault=f"no answer within {LOOK_S:g} s", silent=True)
    if len(run.said) > MOST_BYTES:
        return Inside(fault=f"it says more than {MOST_BYTES} bytes")
    words = plain(run.errors.decode("utf-8", "replace"))
    if run.code == UNREACHABLE:
        return Inside(fault=words or "ssh does not say why", silent=is_silence(words))
    if run.code:
        return Inside(fault=words or f"exit code {run.code}")
    return read_inside(run.said.decode("utf-8", "replace"), began, time.time())
