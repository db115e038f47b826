"""Tell the person what is going on: a live line on a terminal, plain lines otherwise."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

QUIET_SECONDS = 2.0


class Reporter:
    """Prints steps with their duration; several threads may report at once."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.console = Console(file=sys.stderr, highlight=False)
        self._lock = threading.Lock()
        self._running: list[str] = []
        self._status = self.console.status("") if self.console.is_terminal else None

    def say(self, text: str) -> None:
        """Print one line."""
        if not self.quiet:
            self.console.print(text, markup=False)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show that something long is under way, then how long it took."""
        began = time.monotonic()
        self._show(title, begin=True)
        try:
            yield
        finally:
            self._show(title, begin=False)
        took = time.monotonic() - began
        if took >= QUIET_SECONDS:
            self.say(f"{title}: {took:.1f} s")

    def _show(self, title: str, *, begin: bool) -> None:
        with self._lock:
            (self._running.append if begin else self._running.remove)(title)
            if self.quiet:
                return
            if self._status is None:
                if begin:
                    self.say(f"{title} …")
            elif self._running:
                self._status.update(" · ".join(self._running))
                self._status.start()
            else:
                self._status.stop()
