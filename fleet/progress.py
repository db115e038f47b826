"""What a download says of itself while somebody waits for it, on standard error."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # imported when there is something to draw
    from rich.progress import Progress, TaskID

PATIENCE_S = 2.0  # what is done sooner says nothing


class Meter:
    """One download. Shows itself only once it has lasted: a bar on a terminal, else a line."""

    def __init__(self, what: str, *, bar: bool) -> None:
        self._what, self._bar = what, bar
        self._done = 0  # bytes
        self._total: int | None = None
        self._drawn: tuple[Progress, TaskID] | None = None

    def expect(self, total: int | None) -> None:
        """Say how many bytes will come; None: nobody knows."""
        self._total = total
        self.advance(0)

    def advance(self, count: int) -> None:
        """Say that so many bytes more have come."""
        self._done += count
        if self._drawn:
            progress, task = self._drawn
            progress.update(task, completed=self._done, total=self._total)

    def show(self) -> None:
        """Appear."""
        if self._bar and sys.stderr.isatty():
            self._drawn = self._draw()
        else:
            click.echo(f"{self._what} …", err=True)

    def hide(self) -> None:
        """Leave the terminal as it was."""
        if self._drawn:
            self._drawn[0].stop()

    def _draw(self) -> tuple[Progress, TaskID]:
        from rich import progress
        from rich.console import Console

        # Package clients do not say how far they are.
        counted = [progress.DownloadColumn()] if self._total or self._done else []
        drawn = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            *counted,
            progress.TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        task = drawn.add_task(self._what, total=self._total, completed=self._done)
        drawn.start()
        return drawn, task


@contextmanager
def waiting(what: str, *, bar: bool = True) -> Iterator[Meter]:
    """A meter for what is done inside. Without `bar` it draws none, whatever standard error is."""
    meter = Meter(what, bar=bar)
    timer = threading.Timer(PATIENCE_S, meter.show)
    timer.daemon = True
    timer.start()
    try:
        yield meter
    finally:
        timer.cancel()
        timer.join()
        meter.hide()
