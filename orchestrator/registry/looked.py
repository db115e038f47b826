"""What the monitoring found last, read anew when it has changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from orchestrator.config import Config
from orchestrator.health.report import Report, read_report

POLL_S = 10.0


class Looked:
    """The latest round. `changed` is called after each, and when none comes any more."""

    def __init__(self, config: Config, changed: Callable[[], None]) -> None:
        self._path, self._interval_s, self._changed = config.health, config.health_s, changed
        self._began = time.time()  # what was missed before is not known
        self.report: Report | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while self._path is not None:
            before = (self.report, bool(self.silence()))
            self.report = await asyncio.to_thread(read_report, self._path, self._interval_s)
            if before != (self.report, bool(self.silence())):
                self._changed()
            await asyncio.sleep(POLL_S)

    def silence(self) -> str:
        """Why nobody looks after the fleet; empty while the monitoring does."""
        return self.report.silence(time.time(), self._began) if self.report else ""
