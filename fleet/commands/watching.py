"""What is said on standard error while a run is under way."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from fleet.problems import printable
from fleet.runner import Event
from fleet.waves import Wave

if TYPE_CHECKING:  # imported when there is something to draw
    from rich.status import Status

STOPPING = "Finishing what is under way on each host; once more to stop at once."


class Watcher:
    """Hears a run's events: on a terminal a line that moves, elsewhere a line for what lasts."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._status: Status | None = None
        self._at: dict[str, str] = {}
        self._what = ""

    @contextmanager
    def over(self, what: str) -> Iterator[Watcher]:
        """Say what is done while the block lasts."""
        self._what, self._at = what, {}
        if self._quiet or not sys.stderr.isatty():
            if not self._quiet:
                click.echo(f"{what} …", err=True)
            yield self
            return
        from rich.console import Console

        with Console(stderr=True).status(self._line()) as self._status:
            try:
                yield self
            finally:
                self._status = None

    def heard(self, event: Event) -> None:
        """Take note of an event."""
        kind, host = event["event"], event["host"]
        if kind == "stopping":
            self.say(STOPPING)
        elif kind == "started":
            self._at[host] = event["operation"]
        elif kind in ("failed", "unreached"):
            self._at.pop(host, None)
            if not self._quiet and not event.get("silent"):
                self.say(f"{host}: {event['text']}")
        if self._status:
            self._status.update(self._line())

    def turn(self, wave: Wave) -> None:
        """A wave begins."""
        self._what, self._at = f"{wave.name}: {', '.join(wave.hosts)}", {}
        self.say(self._what)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self._quiet:
            return
        line = "\n".join(printable(part) for part in text.split("\n"))
        if self._status:
            self._status.console.print(line, markup=False, highlight=False)
        else:
            click.echo(line, err=True)

    def _line(self) -> str:
        from rich.markup import escape

        latest = list(self._at.items())[-3:]
        where = ", ".join(f"{host} {operation}" for host, operation in latest)
        return escape(printable(f"{self._what}  {where}"))[:160]
