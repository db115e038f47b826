"""Who did what: noted for every action, before it is answered."""

from __future__ import annotations

import time

from starlette.requests import Request

from orchestrator.desk import Desk
from orchestrator.tasks.model import Audit
from orchestrator.web.who import Person

WHAT_LENGTH = 500  # characters


def person(request: Request) -> Person:
    """Who asks: the guard knows."""
    found = request.state.person
    if not isinstance(found, Person):
        raise TypeError("there is no way here but through the guard")
    return found


async def note(request: Request, desk: Desk, action: str, what: str = "") -> None:
    """Note that whoever asks did this."""
    who = person(request)
    line = " ".join(what.split())[:WHAT_LENGTH]
    await desk.audit(Audit(time.time(), who.name, who.where, action, line))
