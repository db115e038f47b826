"""`kill -9` at every moment of a task's life: nothing is lost, and no agent is told twice."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.target import ROOT
from orchestrator.tasks.model import FOLLOWS, OPEN, Draft, State
from orchestrator.tasks.store import Store
from tests.unit.conftest import on_linux
from tests.unit.orchestrator.tasks.world import World

pytestmark = on_linux
ENDS = {"say x": State.DONE, "error x": State.FAILED}


@pytest.mark.parametrize("prompt", ENDS)
def test_killed_at_every_moment(prompt: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.unit.orchestrator.tasks.killed", str(tmp_path), prompt]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stderr
    *killed, whole = sorted(tmp_path.iterdir())
    assert len(killed) >= 14
    found = [asyncio.run(_goes_on(folder, prompt)) for folder in killed]
    assert asyncio.run(_goes_on(whole, prompt)) == (ENDS[prompt], 1)
    # where it was not told, and this was not known for certain, a person is asked: rarely
    lost = found.count((State.LOST, 0))
    assert set(found) == {(ENDS[prompt], 1), (State.LOST, 0)}
    assert 0 < lost <= 4


async def _goes_on(folder: Path, prompt: str) -> tuple[State, int]:
    """Start anew where a process was killed: how the task ends, and how often it was told."""
    store = Store(folder / "tasks.sqlite")
    before = store.events(1)
    store.close()
    world = World(folder, kept=True)
    async with world.dispatched() as now:
        task = await now.when(1, lambda task: task.state not in OPEN)
        events = await now.events(1)
    assert events[: len(before)] == before
    story = [State(one.kind) for one in events if one.kind in set(State)]
    assert all(after in FOLLOWS[one] for one, after in itertools.pairwise(story)), story
    told = [text for fake in world.fakes.values() for text in fake.prompts]
    assert set(told) <= {prompt}
    return task.state, len(told)


def test_twenty_tasks_in_all_states_survive(tmp_path: Path) -> None:
    """What waits goes on, what is over stays as it was, what was begun is found or lost."""
    store = Store(tmp_path / "tasks.sqlite")
    ways: list[tuple[State, ...]] = [
        (),
        (State.RESERVED,),
        (State.RESERVED, State.RUNNING, State.DONE),
        (State.RESERVED, State.RUNNING, State.LOST),
        (State.FAILED,),
        (State.CANCELLED,),
    ]
    for number in range(18):
        task = store.add(Draft(f"say {number}"), "ann")
        for state in ways[number % len(ways)]:
            store.change(task.id, state, host="rpi1")
    store.add(Draft("say draft"), "ann", State.DRAFT)
    running = store.add(Draft("say it"), "ann")
    world = World(tmp_path)
    agent = world.fakes["mini"]
    session = agent.begin()
    agent.hear("say it")
    store.change(running.id, State.RESERVED, host="mini", session=session, run=agent.run, floor=0)
    store.set(running.id, sent=1.0)
    before = {task.id: task.state for task in store.tasks(most=100)}
    store.close()

    async def go_on() -> dict[int, State]:
        async with world.dispatched() as now:
            for number, state in before.items():
                if state in OPEN:
                    await now.until(number, State.DONE)
            return {
                one.id: one.state for one in await now.work.ask(lambda store: store.tasks(most=100))
            }

    after = asyncio.run(go_on())
    assert len(before) == 20
    for number, state in before.items():
        assert after[number] is (State.DONE if state in OPEN else state)
    told = sorted(text for fake in world.fakes.values() for text in fake.prompts)
    assert told == sorted({"say it", *(f"say {one}" for one in (0, 1, 6, 7, 12, 13))})
