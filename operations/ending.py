"""The end of a run on a host that it has changed: noted in the host's history, its lock let go.

Whatever ended the run: pyinfra disconnects from every host it was connected to, also after an error
or an interrupt, and tells so while the connection still carries a command.
"""

from __future__ import annotations

import time

from pyinfra import logger
from pyinfra.api import Host, State
from pyinfra.api.state import BaseStateCallback

from fleet.run import this_run
from operations.change import shell, touched
from operations.locks import ABANDONED_MIN, STILL_AT_WORK, history_path, let_go
from operations.records import applied, fault

TIMEOUT_S = 20
CHANGES_MOST = 200  # lines of a run in a host's history


class Ending(BaseStateCallback):
    """Says good-bye to the hosts; `state_dirs` has the directory of each by its name."""

    def __init__(self) -> None:
        self.state_dirs: dict[str, str] = {}
        self.lines: dict[str, dict[str, object]] = {}  # of each host that was changed
        self._began = time.monotonic()

    def host_disconnect(self, state: State, host: Host) -> None:  # type: ignore[override]
        """Note and let go; what goes wrong here is said, since nothing else can be done."""
        if host.name not in touched:
            return
        history = history_path(self.state_dirs[host.name])
        self.lines[host.name] = line = self._line(state, host)
        script = let_go(this_run(), history, line)
        try:
            done, output = shell(host, script, TIMEOUT_S)
        except Exception as error:
            done, said = False, str(error)
        else:
            said = (output.stdout if done else output.stderr).strip()
        if not done or said == STILL_AT_WORK:
            logger.warning(
                f"{host.print_prefix}its lock stays for up to {ABANDONED_MIN} min: {said}"
            )

    def _line(self, state: State, host: Host) -> dict[str, object]:
        changes = applied(host.name)
        failed = host in state.failed_hosts
        return {
            **this_run().noted,
            "outcome": "failed" if failed else "done",
            "fault": fault(host.name) if failed else "",
            "changes": list(changes[:CHANGES_MOST]),
            "more": max(0, len(changes) - CHANGES_MOST),
            "seconds": round(time.monotonic() - self._began, 1),
        }
