"""The agent's terminal: a pseudo-terminal with a program in it, and the screen that it draws."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Sequence

import pyte

LOOK_S = 0.2  # between two looks at what has come


class Terminal:
    """A program in a terminal of its own. `changed` is when its screen last became another one."""

    def __init__(self, command: Sequence[str], width: int, height: int) -> None:
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self.changed = time.monotonic()
        self.code: int | None = None  # how the program ended
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], list(command))  # noqa: S606 - the agent
        size = struct.pack("HHHH", height, width, 0, 0)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, size)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                select.select([self._fd], [], [])
                data = os.read(self._fd, 1 << 16)
            except OSError:
                data = b""
            if not data:
                _, status = os.waitpid(self.pid, 0)
                self.code = os.waitstatus_to_exitcode(status)
                return
            with self._lock:
                self._stream.feed(data)
                if self._screen.dirty:
                    self._screen.dirty.clear()
                    lines = self._shown()
                    if lines != self._lines:
                        self._lines = lines
                        self.changed = time.monotonic()
            time.sleep(LOOK_S / 4)  # what comes meanwhile is read at once

    def _shown(self) -> list[str]:
        """The lines, without the empty rest. Only rows that were ever written are there at all."""
        rows = self._screen.buffer
        last = max(rows, default=-1)
        lines = []
        for number in range(last + 1):
            row = rows.get(number)
            width = max(row, default=-1) + 1 if row else 0
            lines.append("".join(row[x].data for x in range(width)).rstrip() if row else "")
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def lines(self) -> list[str]:
        """What is on the screen."""
        with self._lock:
            return list(self._lines)

    def type(self, text: str) -> None:
        """Press these keys."""
        data = text.encode()
        while data:
            data = data[os.write(self._fd, data) :]

    def quiet_s(self) -> float:
        """For how long the screen has been the same."""
        return time.monotonic() - self.changed

    def end(self) -> None:
        """End the program and all that it started in this terminal."""
        for number, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 2.0)):
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                return
            deadline = time.monotonic() + patience
            while self.code is None and time.monotonic() < deadline:
                time.sleep(0.05)
