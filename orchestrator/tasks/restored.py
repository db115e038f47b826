"""What becomes of the tasks of a backup that is put back: nobody knows what was done since."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from orchestrator.tasks.model import State
from orchestrator.tasks.store import Store

DOUBT = "it waited when the backup was made: it may have been done since"


def doubt(path: Path) -> int:
    """Lose what waited in a database that no service has open yet; how many tasks that were.

    An agent may have been told of them after the backup: a person says whether it is again. What
    an agent was told before needs no doubt: whether that agent still works on it can be asked.
    May raise sqlite3.Error, also for a database of a newer version.
    """
    with closing(Store(path)) as store, store.whole():
        waiting = [one for one in store.in_progress() if one.is_open and not one.sent]
        for task in waiting:
            store.change(task.id, State.LOST, DOUBT, reason=DOUBT, run="")
    return len(waiting)
