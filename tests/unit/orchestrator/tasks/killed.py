"""Runs a task again and again, each time in a process that is killed one moment later.

usage: killed.py DIRECTORY PROMPT. For every moment a folder is left, with the database and the
agents as they were then; the last one's process was not killed. Moments are before and after every
write, everything that is said to an agent, and every session that is begun.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.tasks.model import OPEN, Draft
from orchestrator.tasks.store import Store
from tests.unit.orchestrator.tasks.world import FakeAgent, World

MOST = 200


class Moments:
    def __init__(self, last: int) -> None:
        self.left = last

    def pass_one(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: type, name: str) -> None:
        inner: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(inner)
        def plain(*values: Any, **more: Any) -> Any:
            self.pass_one()
            result = inner(*values, **more)
            self.pass_one()
            return result

        @functools.wraps(inner)
        async def waiting(*values: Any, **more: Any) -> Any:
            self.pass_one()
            result = await inner(*values, **more)
            self.pass_one()
            return result

        setattr(owner, name, waiting if asyncio.iscoroutinefunction(inner) else plain)


async def work(path: Path, prompt: str, moments: Moments) -> None:
    world = World(path, kept=True)
    async with world.dispatched() as now:
        sent = await now.send("", draft=Draft(prompt))
        for owner, name in (
            (Store, "change"),
            (Store, "note"),
            (FakeAgent, "begin"),
            (FakeAgent, "say"),
        ):
            moments.around(owner, name)
        await now.when(sent.id, lambda task: task.state not in OPEN)


def main() -> None:
    where, prompt = Path(sys.argv[1]), sys.argv[2]
    for number in range(1, MOST):
        folder = where / f"{number:03}"
        folder.mkdir()
        child = os.fork()
        if child == 0:
            asyncio.run(work(folder, prompt, Moments(number)))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status))
    sys.exit("it never came to its end")


if __name__ == "__main__":
    main()
