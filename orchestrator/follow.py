"""Follows one task until it ends, for a command that watches it from afar."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

from orchestrator.client import Page, ServiceError, words_of

PAUSE_S = 0.5  # between two looks; it is a socket on the same machine
HEARTBEAT = 20  # looks
OPEN = ("queued", "reserved", "running")


def follow(page: Page, number: int, pause_s: float = PAUSE_S) -> Iterator[dict[str, Any]]:
    """What is new of the task: {"task": …}, {"event": …} or {"message": …}.

    They are as the API has them; the latter two come with their `attempt`.

    A message that grows comes again. Now and then comes nothing, {}: whoever passes it on notices
    that nobody listens any more. Raises ServiceError.
    """
    seen: dict[str, dict[Any, Any]] = {"event": {}, "message": {}}
    before: dict[str, Any] = {}
    for look in count():
        # The task first: once it has ended, all that was said is there.
        task = _ask(page, f"/api/v1/tasks/{number}")
        for kind in seen:
            for one in rows(_ask(page, f"/api/v1/tasks/{number}/{kind}s"), f"{kind}s"):
                key = (task.get("attempt"), one.get("number"))
                if seen[kind].get(key) != one:
                    seen[kind][key] = one
                    yield {kind: one, "attempt": task.get("attempt")}
        if task != before:
            before = task
            yield {"task": task}
        if task.get("state") not in OPEN:
            return
        if look % HEARTBEAT == 0:
            yield {}
        time.sleep(pause_s)


def rows(said: Any, name: str) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON
    """The things of a list, which may stand in an object under its name."""
    found = said.get(name, []) if isinstance(said, dict) else said
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _ask(page: Page, path: str) -> Any:  # noqa: ANN401 - JSON
    with page.ask("GET", path, b"", "") as response:
        body = response.read()
        if response.is_error:
            raise ServiceError(words_of(body))
    return json.loads(body)
