"""pyinfra, which tells what it does: connections, operations begun and ended, why a host fails.

usage: python -m fleet.engine PYINFRA-ARGUMENT...

What it tells goes where the operations' own records go (operations/records.py):

    connected  a host took us
    unreached  text, silent: it did not; silent when nothing answered at all
    started    operation
    ended      operation
    failed     text: also when no operation of ours knew why

SIGTERM stops it where every host is left consistent: what is under way is carried out, nothing more
is begun. So does the death of whoever has started it.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from collections import defaultdict, deque
from contextlib import suppress
from typing import Any

from fleet import plugins  # isort: skip

plugins.read_once()

# pyinfra_cli patches the standard library for gevent, so it comes before everything it patches.
from pyinfra_cli.main import main as run_pyinfra  # isort: skip
import click
from pyinfra.api import Host, State
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.state import BaseStateCallback

from operations.change import stop
from operations.records import note
from orchestrator.silence import is_silence

LAST_WORDS = 12  # lines of what a host said before it failed
_PREFIXED = re.compile(r"\[([^\]\s]+)\]\s+(.*)", re.DOTALL)
_COUNT = re.compile(r"Error: executed \d+ commands")


class Words(logging.Handler):
    """Remembers the last errors that pyinfra has logged of each host."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._said: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=LAST_WORDS))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text under the host that it begins with."""
        found = _PREFIXED.match(click.unstyle(record.getMessage()).strip())
        if found and not _COUNT.match(found[2]):
            self._said[found[1]].append(found[2].rstrip())

    def take(self, host: str) -> str:
        """What was said of the host since this was asked last."""
        lines = self._said.pop(host, deque())
        return "\n".join(lines)


class Teller(BaseStateCallback):
    """Notes what pyinfra's callbacks say."""

    def __init__(self, words: Words) -> None:
        self._words, self._parent = words, os.getppid()

    def host_connect(self, state: State, host: Host) -> None:  # type: ignore[override]
        """It took us."""
        note("connected", host.name)

    def host_connect_error(self, state: State, host: Host, error: ConnectError) -> None:  # type: ignore[override]
        """It did not. What was logged of it is in our words; the error is in pyinfra's."""
        said = self._words.take(host.name) or str(error)
        note("unreached", host.name, text=said, silent=is_silence(str(error)))

    def operation_host_start(self, state: State, host: Host, op_hash: str) -> None:  # type: ignore[override]
        """An operation begins on a host."""
        if os.getppid() != self._parent:
            stop()
        self._words.take(host.name)
        note("started", host.name, operation=_name(state, op_hash))

    def operation_host_success(  # type: ignore[override]
        self, state: State, host: Host, op_hash: str, retry_count: int = 0
    ) -> None:
        """It has ended well."""
        note("ended", host.name, operation=_name(state, op_hash))

    def operation_host_error(  # type: ignore[override]
        self, state: State, host: Host, op_hash: str, retry_count: int = 0, max_retries: int = 0
    ) -> None:
        """It has not."""
        name = _name(state, op_hash)
        note("failed", host.name, text=self._words.take(host.name) or f"{name} failed")


def _name(state: State, op_hash: str) -> str:
    return ", ".join(sorted(state.get_op_meta(op_hash).names))


def tell() -> None:
    """Make the state of this process's pyinfra tell, as soon as there is one."""
    words = Words()
    logging.getLogger("pyinfra").addHandler(words)
    init = State.init

    def init_and_listen(state: State, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        init(state, *args, **kwargs)
        state.add_callback_handler(Teller(words))

    setattr(State, "init", init_and_listen)  # noqa: B010 - mypy forbids it otherwise


def main() -> None:
    """Run pyinfra with the arguments of this process."""
    tell()
    signal.signal(signal.SIGTERM, lambda number, frame: stop())
    sys.argv = ["pyinfra", *sys.argv[1:]]
    with suppress(BrokenPipeError):
        run_pyinfra()


if __name__ == "__main__":
    main()
