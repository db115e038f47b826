"""The conversation that is read from a screen: what the user said, what the agent answered."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .terminal import Terminal

STABLE_S = 2.0  # a screen that stood still for so long waits for input
STARTS_S = 15.0  # how long an agent may take until it shows that it has heard
NOT_STABLE = "message can only be sent when the agent is waiting for user input"
# What Claude Code draws around the conversation: the input box, lines below it, its state.
_FRAME = re.compile(
    r"^[─━]{10,}$|^[\u276f>]\s*$|^\s*(⏵⏵|\? for shortcuts|◐|○|●?\s*medium · )|· /effort$"
)


class NotStableError(Exception):
    """The agent is not waiting for input."""


class Conversation:
    """Messages, and the terminal they come from."""

    def __init__(self, terminal: Terminal, state: Path | None) -> None:
        self.terminal = terminal
        self.lock = threading.RLock()  # held while a message is being sent, as there
        self._state = state
        self._before: list[str] = []
        self._messages: list[dict[str, Any]] = self._load()
        self._waiting = False
        self._add("agent", "")  # a new agent, with a screen of its own

    def status(self) -> str:
        """`running` while the agent works, else `stable`."""
        busy = self._waiting or self.terminal.quiet_s() < STABLE_S
        return "running" if busy else "stable"

    def messages(self) -> list[dict[str, Any]]:
        """All messages; the last one of the agent's is as its screen is now."""
        last = self._messages[-1]
        if last["role"] == "agent" and not self._waiting:
            content = self._said()
            if content != last["content"]:
                last |= {"content": content, "time": _now()}
                self._save()
        return self._messages

    def say(self, text: str) -> None:
        """Say something as the user and wait until the agent begins. Raises NotStableError."""
        with self.lock:
            if self.status() != "stable":
                raise NotStableError
            self.messages()
            self._waiting = True
            try:
                self._before = self.terminal.lines()
                self.terminal.type(f"\x1b[200~{text}\x1b[201~")
                self._until_changed(STARTS_S / 3)
                time.sleep(0.5)  # a paste is taken apart before Enter counts
                self.terminal.type("\r")
                self._until_changed(STARTS_S)
            finally:
                self._waiting = False
            self._add("user", text)
            self._add("agent", "")
            self._save()

    def _until_changed(self, limit_s: float) -> None:
        began = self.terminal.changed
        deadline = time.monotonic() + limit_s
        while self.terminal.changed == began and time.monotonic() < deadline:
            if self.terminal.code is not None:
                return
            time.sleep(0.05)

    def press(self, keys: str) -> None:
        """Press keys, whatever the agent does."""
        self.terminal.type(keys)

    def _add(self, role: str, content: str) -> None:
        number = len(self._messages)
        self._messages.append({"id": number, "role": role, "content": content, "time": _now()})

    def _said(self) -> str:
        """What is new on the screen since the user spoke, without what is drawn around it."""
        lines, before = self.terminal.lines(), _plain(self._before)
        new = _plain(lines)
        same = 0
        while same < min(len(new), len(before)) and new[same] == before[same]:
            same += 1
        new = new[same:]
        prompts = [one for one in self._messages if one["role"] == "user"]
        if prompts and new and re.match(r"^[\u276f>]\s", new[0]):
            new = new[1:]  # the echo of what was said; its further lines are indented
            rest = " ".join(prompts[-1]["content"].split())
            while new and new[0].startswith("  ") and " ".join(new[0].split()) in rest:
                new = new[1:]
        return "\n".join(new).strip("\n")

    def _load(self) -> list[dict[str, Any]]:
        try:
            known = json.loads(self._state.read_text()) if self._state else []
        except (OSError, ValueError):
            return []
        return list(known) if isinstance(known, list) else []

    def _save(self) -> None:
        if self._state:
            part = self._state.with_name(f"{self._state.name}.part")
            part.write_text(json.dumps(self._messages))
            part.replace(self._state)

    def watch(self, seconds: float, stop: Callable[[], bool]) -> None:
        """Keep the messages up to date, so that the state file is."""
        while not stop():
            self.messages()
            time.sleep(seconds)


def _plain(lines: list[str]) -> list[str]:
    kept = [line for line in lines if not _FRAME.search(line)]
    while kept and not kept[-1].strip():
        kept.pop()
    return kept


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
