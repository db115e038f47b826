"""How tasks are told in a terminal. What agents and strangers wrote is made harmless here."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from fleet.commands.session import console
from fleet.problems import printable

MICROS = 1_000_000  # of the API's amounts in a dollar
DONE, FAILED, SLEEPS = 0, 1, 3  # exit codes
OPEN = ("queued", "reserved", "running")
_UNSETTLED = 3  # lines at the end of a screen that an agent at work draws anew
STYLES = {"done": "green", "failed": "red", "lost": "bold red", "running": "cyan"}


def dollars(amount: object) -> str:
    """Micro-dollars for people."""
    return f"${int(amount) / MICROS:.2f}" if isinstance(amount, int) else "no limit"


def moment(at: object) -> str:
    """Seconds of Unix time for people; empty for none."""
    if not isinstance(at, int | float) or at <= 0:
        return ""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def plain(text: object) -> str:
    """One line of somebody's text, for a table."""
    return escape(printable(str(text)))


def lines(text: str) -> list[str]:
    """Somebody's text, harmless, line by line."""
    return [printable(line.expandtabs()) for line in text.split("\n")]


def table(tasks: list[dict[str, Any]]) -> None:
    """Print tasks, a line each."""
    found = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("TASK", "STATE", "HOST", "COST", "CHANGED", "BY", "TITLE"):
        found.add_column(column, overflow="fold", justify="right" if column == "COST" else "left")
    for one in tasks:
        row = (
            str(one.get("id", "")),
            plain(one.get("state", "")),
            plain(one.get("host") or "-"),
            dollars(one.get("cost", 0)),
            moment(one.get("changed") or one.get("created")),
            plain(one.get("by", "")),
            plain(one.get("title", "")),
        )
        found.add_row(*row, style=STYLES.get(str(one.get("state")), ""))
    console().print(found)


def headline(task: dict[str, Any]) -> str:
    """Where a task is, in one line."""
    words = [f"task {task.get('id')}: {task.get('state')}"]
    if host := task.get("host"):
        words.append(f"on {host}")
    reason = task.get("reason") or (task.get("why") if task.get("state") in OPEN else "")
    return printable(" ".join(words) + (f": {reason}" if reason else ""))


def code_of(task: dict[str, Any]) -> int:
    """The exit code of a task that does not go on by itself."""
    return DONE if task.get("state") == "done" else FAILED


class Watched:
    """Prints what happens to a task as it comes; `task` is how it was last.

    What an agent says is a screen that grows and is drawn anew, with a last line that says how long
    it has worked. So a line is printed once another has followed it, and nothing twice.
    """

    def __init__(self) -> None:
        self.task: dict[str, Any] = {}
        self._said: dict[tuple[object, object], list[str]] = {}
        self._last: tuple[object, object] = (None, None)
        self._waits: list[str] = []  # lines of the last message that may still change

    def heard(self, news: dict[str, Any]) -> None:
        """Print what is new."""
        if message := news.get("message"):
            self._speak(message, (news.get("attempt"), message.get("number")))
        if event := news.get("event"):
            click.echo(printable(f"  {event.get('kind')}: {event.get('text')}"), err=True)
        if task := news.get("task"):
            before, self.task = self.task, task
            if task.get("state") not in OPEN:
                self._finish()
            if headline(task) != headline(before):
                click.echo(headline(task), err=True)

    def _speak(self, message: dict[str, Any], key: tuple[object, object]) -> None:
        if key != self._last:
            self._finish()
            self._last = key
        mark = "> " if message.get("role") == "user" else ""
        now = [f"{mark}{line}" for line in lines(str(message.get("content", "")).rstrip("\n"))]
        kept, self._waits = now[:-_UNSETTLED], now[-_UNSETTLED:]
        self._print(kept)

    def _finish(self) -> None:
        """Nothing follows on what was said last."""
        waits, self._waits = self._waits, []
        self._print(waits)

    def _print(self, found: list[str]) -> None:
        known = self._said.setdefault(self._last, [])
        for line in _new(known, found):
            click.echo(line)
            known.append(line)


def _new(known: list[str], found: list[str]) -> list[str]:
    """The lines that are not known yet, each as often as it is there."""
    left = Counter(known)
    fresh = []
    for line in found:
        if left[line]:
            left[line] -= 1
        else:
            fresh.append(line)
    return fresh
