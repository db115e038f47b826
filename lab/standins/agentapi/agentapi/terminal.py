"""The agent's terminal: a pseudo-terminal with a program in it, and the screen that it draws."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import pyte

GATHER_S = 0.05  # what comes within it is drawn at once
POLITE_S, FIRM_S = 3.0, 2.0  # after SIGTERM, after SIGKILL


class Screen(pyte.Screen):
    """A screen without colours: what is read is text."""

    def select_graphic_rendition(self, *_: int, **__: bool) -> None:
        """Nothing: it costs time, and pyte fails at some forms that programs use."""


class Terminal:
    """A program in a terminal and a session of its own. Raises OSError if it cannot be started."""

    def __init__(self, command: Sequence[str], width: int, height: int) -> None:
        self._screen = Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._rows = [""] * height
        self._lines: tuple[str, ...] = ()
        self._changed = time.monotonic()
        self._fd, inner = pty.openpty()
        # before the program starts: it asks once, and draws for what it was told
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self._process = subprocess.Popen(
            list(command),
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "vt100"},  # what AgentAPI's terminal can do, so it says
        )
        os.close(inner)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._fd, 1 << 16)
            except OSError:  # nobody is at the other end
                return
            if not data:
                return
            # pyte gives up at some sequences: the rest of what came is lost then, and not the agent
            with self._lock, suppress(Exception):
                self._stream.feed(data)
            time.sleep(GATHER_S)

    @property
    def code(self) -> int | None:
        """How the program ended, as a shell says it; None while it runs."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def lines(self) -> tuple[str, ...]:
        """What is on the screen, to its last line with anything on it. Cheap if nothing came."""
        with self._lock:
            dirty = [row for row in self._screen.dirty if row < len(self._rows)]
            self._screen.dirty.clear()
            for row in dirty:
                self._rows[row] = self._text(row)
            if dirty:
                end = len(self._rows)
                while end and not self._rows[end - 1]:
                    end -= 1
                lines = tuple(self._rows[:end])
                if lines != self._lines:
                    self._lines, self._changed = lines, time.monotonic()
            return self._lines

    def _text(self, row: int) -> str:
        """One row; a cell that was never written to is not there."""
        cells = self._screen.buffer.get(row)
        if not cells:
            return ""
        return "".join(cells[column].data for column in range(max(cells) + 1)).rstrip()

    def still_s(self) -> float:
        """For how long the screen has looked the same, in seconds."""
        self.lines()
        return time.monotonic() - self._changed

    def type(self, text: str) -> None:
        """Press these keys. Raises OSError when the program is gone."""
        data = text.encode()
        while data:
            data = data[os.write(self._fd, data) :]

    def end(self) -> None:
        """End the program, and what it started in its own process group."""
        for number, patience in ((signal.SIGTERM, POLITE_S), (signal.SIGKILL, FIRM_S)):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
