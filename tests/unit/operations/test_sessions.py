"""An agent's first session: begun where there is none, and never an error of its host."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fleet.resources import AgentSession, Resources
from operations import sessions
from tests.unit.conftest import FakeHost

MARK = "/var/lib/agentfleet/agent/session"
WANT = Resources(session=AgentSession(MARK))


def test_a_session_is_begun_where_there_is_none() -> None:
    change = sessions.plan(WANT, FakeHost().lacks(MARK).look)
    assert change
    assert change.says == ("session: begin the first one",)
    assert sessions.plan(WANT, FakeHost().has_file(MARK).look) is None
    assert sessions.plan(Resources(), FakeHost().look) is None
    with pytest.raises(LookupError):
        sessions.plan(WANT, FakeHost().look)


@pytest.mark.parametrize("fault", ["", "the orchestrator cannot be reached"])
def test_an_orchestrator_that_is_off_fails_no_host(fault: str, caplog: Any) -> None:
    asked = []

    def begin(name: str) -> str:
        asked.append(name)
        return fault

    host: Any = SimpleNamespace(name="rpi1", print_prefix="[rpi1] ")
    state: Any = None
    assert sessions._begin(state, host, begin) is True
    assert asked == ["rpi1"]
    assert ("session pending, the next run tries again" in caplog.text) is bool(fault)
    assert fault in caplog.text
