"""`lab.anthropic` for programs: the process of one lab's Messages API, and what it was asked."""

from __future__ import annotations

import json
import secrets
import urllib.request
from typing import Any

from lab import daemon
from lab.anthropic.server import CONFIG, REQUESTS, VERSION_PATH, code_version
from lab.place import ANTHROPIC_PORT, Place
from lab.tailnet.store import replace

CGROUP = ".anthropic"  # beside those of the hosts, whose names have no dot


class LabAnthropic:
    """The Messages API of a lab. It needs the lab to be up, but for `key` and `requests`."""

    def __init__(self, place: Place) -> None:
        self.place = place

    @property
    def key(self) -> str:
        """The key that is paid with: good here and nowhere else."""
        return self.place.anthropic_key.read_text().strip()

    def requests(self) -> list[dict[str, Any]]:
        """Every message that was answered, the oldest first.

        `time`, `from` (an address), `model`, `prompt`, `used` (tokens in, out), `session`.
        """
        file = self.place.anthropic / REQUESTS
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line) for line in lines]

    def forget(self) -> None:
        """Forget what was asked."""
        (self.place.anthropic / REQUESTS).unlink(missing_ok=True)

    def start(self) -> None:
        """See to it that the process runs."""
        folder = self.place.anthropic
        folder.mkdir(mode=0o700, exist_ok=True)
        if not self.place.anthropic_key.exists():
            replace(self.place.anthropic_key, f"sk-ant-lab-{secrets.token_urlsafe(48)}\n")
        if self._answers():
            return
        self.stop()
        known = {"address": self.place.gateway, "port": ANTHROPIC_PORT}
        replace(folder / CONFIG, json.dumps(known) + "\n")
        daemon.launch(self.place, CGROUP, "lab.anthropic", folder, self._answers)

    def stop(self) -> None:
        """End the process."""
        daemon.end(self.place, CGROUP)

    def _answers(self) -> bool:
        """Whether one runs, made of this code."""
        straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with straight.open(self.place.anthropic_url + VERSION_PATH, timeout=2) as said:
                return bool(said.read().decode() == code_version())
        except OSError:
            return False
