"""The orchestrator's programs as processes that begin at once.

To import what they stand on takes half a second of the processor, and tests begin hundreds. Here a
process has imported it and is forked for each. What then runs is the program's `main`, alone in a
process that has its environment and its exit code, and can be killed.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from typing import Protocol

import orchestrator.gateway.serve
import orchestrator.quarantine.serve  # noqa: F401 - `main` imports these when they are asked for
from orchestrator.cli import main
from orchestrator.quarantine import keeper

AGAIN_S = 0.2  # for keeper.AGAIN_S, so that no test waits for half a minute

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


class Process(Protocol):
    """What tests want of a subprocess.Popen."""

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...


class Child:
    """A program that runs, and reads a file; what it says is added to two others."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        out: Path,
        err: Path,
        stdin: Path = Path(os.devnull),
    ) -> None:
        said = (list(arguments), dict(environment), str(stdin), str(out), str(err))
        self._process: ForkServerProcess = _context.Process(target=_run, args=said)
        self._process.start()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutExpired("the orchestrator's program", timeout or 0)
        return self._process.exitcode

    def send_signal(self, sig: int) -> None:
        assert self._process.pid
        os.kill(self._process.pid, sig)


def run(
    *arguments: str, environment: Mapping[str, str], says: bytes = b"", timeout_s: float = 20
) -> CompletedProcess[str]:
    """Run a program to its end; it is told `says`."""
    with tempfile.TemporaryDirectory() as folder:
        stdin, out, err = (Path(folder, name) for name in ("in", "out", "err"))
        stdin.write_bytes(says)
        child = Child(arguments, environment, out, err, stdin)
        try:
            code = child.wait(timeout_s)
        finally:
            if child.poll() is None:
                child.send_signal(9)
        return CompletedProcess(arguments, code, out.read_text(), err.read_text())


def _run(arguments: list[str], environment: dict[str, str], stdin: str, out: str, err: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for path, stream in ((out, sys.stdout), (err, sys.stderr)):
        with Path(path).open("a") as file:
            os.dup2(file.fileno(), stream.fileno())
    sys.stdin = Path(stdin).open()  # noqa: SIM115 - open as long as the process is
    keeper.AGAIN_S = AGAIN_S
    sys.exit(main(arguments))
