"""The conversation that is read from a screen: what the user said, what the agent answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import screen
from .state import State, StateError, load, now, save
from .terminal import Terminal

LOOK_S = 0.2  # between two looks at the screen
STABLE_S = 2.0  # a screen that stood still for so long waits for input
SETTLED_S = 1.0  # a paste that was drawn so long ago has been taken
PASTED_S = 5.0  # an agent that has drawn nothing of a paste by then draws none
STARTS_S = 15.0  # how long a paste may take to settle, and Enter to show
AGAIN_S = 3.0  # until Enter is pressed again
SAVE_S = 1.0  # between two writings of the state file

NOT_STABLE = "message can only be sent when the agent is waiting for user input"
EMPTY = "message must not be empty"


class SendError(Exception):
    """A message was not sent; says why in AgentAPI's words."""


class Conversation:
    """Messages, and the terminal they come from."""

    def __init__(
        self,
        terminal: Terminal,
        state_file: Path | None = None,
        *,
        prompt: str = "",
        reads: bool = True,
        writes: bool = True,
    ) -> None:
        self.terminal = terminal
        self.faults: list[dict[str, str]] = []  # what listeners are told of as agent_error
        self._lock = threading.RLock()  # held while a message is sent; all else waits for it
        self._file = state_file
        self._writes = writes and state_file is not None
        self._state = self._load(state_file) if reads and state_file else State()
        # an agent that was started anew shows nothing of what is remembered: that stays
        self._resumed = bool(self._state.messages)
        self._before: list[str] = []
        self._dirty = False
        self._saved = 0.0
        if not self._resumed:
            self._state.add("agent")
        if prompt and (prompt, True) != (
            self._state.initial_prompt,
            self._state.initial_prompt_sent,
        ):
            self._state.initial_prompt, self._state.initial_prompt_sent = prompt, False

    def status(self) -> str:
        """`running` while the agent works, else `stable`."""
        with self._lock:
            asked = self._state.messages[-1].role == "user"
            busy = asked or self.terminal.still_s() < STABLE_S or self._prompt_waits()
            return "running" if busy else "stable"

    def _prompt_waits(self) -> bool:
        return bool(self._state.initial_prompt) and not self._state.initial_prompt_sent

    def messages(self) -> list[dict[str, Any]]:
        """All messages so far, as the API gives them."""
        with self._lock:
            return [asdict(one) for one in self._state.messages]

    def look(self) -> None:
        """Take over what the screen shows now. Called all the time."""
        with self._lock:
            last = self._state.messages[-1]
            if self._resumed:
                return
            if last.role == "user":
                last = self._state.add("agent")
                self._dirty = True
            told = [one.content for one in self._state.messages if one.role == "user"][-1:]
            content = screen.said(self._before, self._talk(), *told)
            if content != last.content:
                last.content, last.time, self._dirty = content, now(), True

    def _talk(self) -> list[str]:
        return screen.talk(self.terminal.lines())

    def say(self, text: str) -> None:
        """Say something as the user and wait until the agent begins. Raises SendError."""
        with self._lock:
            if self.status() != "stable":
                raise SendError(NOT_STABLE)
            self._send(text.strip())

    def _send(self, text: str) -> None:
        if not text:
            raise SendError(EMPTY)
        self.look()
        before = self._talk()
        self._type(text)
        self._before, self._resumed, self._dirty = before, False, True
        self._state.add("user", text)

    def _type(self, text: str) -> None:
        seen = self.terminal.lines()
        self.press(f"\x1b[200~{text}\x1b[201~")
        drawn = _until(lambda: self.terminal.lines() != seen, PASTED_S)
        if drawn and not _until(lambda: self.terminal.still_s() > SETTLED_S, STARTS_S):
            raise SendError("failed to wait for screen to stabilize")
        pasted = self.terminal.lines()
        deadline = time.monotonic() + STARTS_S
        while time.monotonic() < deadline:
            self.press("\r")
            if _until(lambda: self.terminal.lines() != pasted, AGAIN_S):
                return
        raise SendError("failed to wait for processing to start")

    def press(self, keys: str) -> None:
        """Press keys, whatever the agent does. Raises SendError when there is none any more."""
        with self._lock:
            try:
                self.terminal.type(keys)
            except OSError as error:
                raise SendError(str(error)) from error

    def run(self) -> None:
        """Keep the messages up to date for ever; send the first prompt when it is time."""
        while True:
            self.look()
            if self._prompt_waits() and self.terminal.still_s() > STABLE_S:
                self._begin()
            if self._dirty and time.monotonic() - self._saved > SAVE_S:
                self.save()
            time.sleep(LOOK_S)

    def _begin(self) -> None:
        with self._lock:
            try:
                self._send(self._state.initial_prompt)
            except SendError as error:
                self.fault("error", f"failed to send initial prompt: {error}")
            self._state.initial_prompt_sent = True

    def fault(self, level: str, message: str) -> None:
        """Tell listeners what went wrong."""
        self.faults.append({"level": level, "message": message, "time": now()})

    def _load(self, file: Path) -> State:
        try:
            return load(file)
        except StateError as error:
            self.fault("warning", f"Failed to restore previous session: {error}")
            return State()

    def save(self) -> None:
        """Write the state file, if there is one and it would say anything new."""
        if not (self._writes and self._dirty and self._file):
            return
        if not self._lock.acquire(timeout=SAVE_S):
            return  # a message is being sent, and the end does not wait for it
        try:
            self._saved, self._dirty = time.monotonic(), False
            save(self._file, self._state)
        except OSError as error:
            self.fault("warning", f"failed to save state: {error}")
        finally:
            self._lock.release()


def _until(what: Callable[[], bool], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.05)
    return what()
