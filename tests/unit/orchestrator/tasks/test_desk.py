"""The desk as pages see it: what people may do, what they hear, and what is refused."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from orchestrator.config import Config
from orchestrator.desk import Desk, News, RefusedError, UnknownError
from orchestrator.registry.model import Condition
from orchestrator.tasks.desk import WorkDesk
from orchestrator.tasks.model import (
    Audit,
    Code,
    Draft,
    Plan,
    PlanState,
    State,
    Task,
    Wish,
)
from orchestrator.tasks.store import Store
from tests.unit.conftest import on_linux
from tests.unit.orchestrator.tasks.claudes import API_ERROR, claude, success
from tests.unit.orchestrator.tasks.fleets import HOSTS, USD
from tests.unit.orchestrator.tasks.world import PATIENCE_S, QUICK, World

pytestmark = on_linux
T = TypeVar("T")
RPI1 = Wish(host="rpi1", failover=False)
TWO = {
    "steps": [
        {"key": "look", "title": "Look", "prompt": "say 42", "where": {"host": "rpi2"}},
        {"key": "tell", "title": "Tell", "prompt": "say it", "after": ["look"]},
    ]
}


class Office:
    """An open desk, and the world it is in."""

    def __init__(self, world: World, desk: WorkDesk) -> None:
        self.world, self.desk = world, desk

    async def until(self, number: int, *states: State) -> Task:
        return await self._when(lambda: self.desk.task(number), lambda one: one.state in states)

    async def planned(self, number: int, *states: PlanState) -> Plan:
        return await self._when(lambda: self.desk.plan(number), lambda one: one.state in states)

    async def _when(
        self, ask: Callable[[], Coroutine[Any, Any, T]], what: Callable[[T], bool]
    ) -> T:
        async with asyncio.timeout(PATIENCE_S):
            while not what(found := await ask()):
                await asyncio.sleep(0.005)
        return found


Opened = Callable[..., Any]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def office(world: World, tmp_path: Path) -> Opened:
    claude(tmp_path, success(TWO))
    config = Config(
        listen="",
        port=0,
        names=(),
        database=tmp_path / "tasks.sqlite",
        token=tmp_path,
        socket=tmp_path,
        gateway=tmp_path,
        gateway_url="http://127.0.0.1:1",
        quarantine=tmp_path,
        reached=tmp_path,
        scheduler="",
        console=0,
        tailscale=(),
        claude=str(tmp_path / "claude"),
        planner="rpi1",
        plan_cap=USD,
        operators={},
        agents=HOSTS,
        off=frozenset(),
        places={},
        workers=frozenset(),
    )

    @asynccontextmanager
    async def opened(**times: float) -> AsyncIterator[Office]:
        async with WorkDesk(config, world.opened, replace(QUICK, **times)) as desk:
            yield Office(world, desk)

    return opened


def test_who_only_reads_waits_for_no_write(office: Opened) -> None:
    async def run() -> None:
        async with office() as it:
            sent = await it.desk.send(Draft("hang", wish=RPI1), "ann")
            await it.until(sent.id, State.RUNNING)
            written = threading.Event()
            slow = asyncio.create_task(it.desk._work.ask(lambda _: written.wait(PATIENCE_S)))
            await asyncio.sleep(0.05)
            try:
                async with asyncio.timeout(PATIENCE_S / 2):
                    assert [one.id for one in await it.desk.tasks()] == [sent.id]
                    assert (await it.desk.task(sent.id)).state is State.RUNNING
                    assert (await it.desk.counts()).by_state == {State.RUNNING: 1}
                    assert await it.desk.events(sent.id)
                    await it.desk.messages(sent.id)
                    await it.desk.patch(sent.id)
                    await it.desk.plans()
                    await it.desk.audits()
                assert not slow.done()
            finally:
                written.set()
            assert await slow

    asyncio.run(run())


def test_it_is_a_desk(office: Opened) -> None:
    async def run() -> None:
        async with office() as now:
            desk: Desk = now.desk
            assert [one.host.name for one in desk.agents()] == [one.name for one in HOSTS]
            assert desk.strangers() == ()
            assert desk.cluster().fault == "not asked"
            assert (await desk.counts()).by_state == {}

    asyncio.run(run())


def test_a_task_from_the_desk_to_its_result(office: Opened) -> None:
    async def run() -> None:
        async with office() as now, now.desk.news() as news:
            where = now.desk.choose(RPI1)
            assert where.why == "rpi1: idle, always on"
            file = await now.desk.keep("a.txt", b"A")
            sent = await now.desk.send(Draft("say x", wish=RPI1, attachments=(file,)), "ann")
            assert await anext(news) == News("tasks", str(sent.id))
            await now.until(sent.id, State.DONE)
            assert [one.content for one in await now.desk.messages(sent.id)][-1] == "● x"
            assert (await now.desk.events(sent.id))[0].kind == "queued"
            assert await now.desk.tasks((State.DONE,)) == (await now.desk.task(sent.id),)
            assert await now.desk.patch(sent.id) is None

    asyncio.run(run())


@pytest.mark.parametrize(
    ("draft", "words"),
    [
        (Draft(" "), "a prompt has"),
        (Draft("x", cap=0), "more than nothing"),
        (Draft("x", wish=Wish(arch="riscv")), "no host of the fleet can do it"),
        (Draft("x", code=Code("0" * 64, "a" * 40)), "no one of its files"),
    ],
)
def test_what_makes_no_task_is_refused(office: Opened, draft: Draft, words: str) -> None:
    async def run() -> None:
        async with office() as now:
            with pytest.raises((RefusedError, UnknownError), match=words):
                await now.desk.send(draft, "ann")
            assert await now.desk.tasks() == ()

    asyncio.run(run())


def test_code_that_is_no_bundle_is_refused(office: Opened) -> None:
    async def run() -> None:
        async with office() as now:
            kept = await now.desk.keep("b", b"rubbish")
            with pytest.raises(RefusedError, match="no git bundle"):
                await now.desk.send(Draft("x", code=Code(kept.sha256, "a" * 40)), "ann")

    asyncio.run(run())


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\nb", "..", "x" * 201])
def test_a_file_has_a_name(office: Opened, name: str) -> None:
    async def run() -> None:
        async with office() as now:
            with pytest.raises(RefusedError):
                await now.desk.keep(name, b"")
            kept = await now.desk.keep("a", b"A")
            with pytest.raises(RefusedError):
                await now.desk.send(Draft("x", attachments=(replace(kept, name=name),)), "alice")

    asyncio.run(run())


def test_what_is_not_there_is_unknown(office: Opened) -> None:
    async def run() -> None:
        async with office() as now:
            desk = now.desk
            for asked in (
                desk.task(9),
                desk.events(9),
                desk.messages(9),
                desk.patch(9),
                desk.cancel(9, "a"),
                desk.retry(9, "a"),
                desk.settle(9, "a"),
                desk.plan(9),
                desk.approve(9, "a"),
                desk.discard(9, "a"),
                desk.drop(9, "a"),
                desk.change(9, "x", Wish(), (), "a"),
                desk.conversation("nowhere"),
                desk.say("nowhere", "x", "a"),
                desk.new_session("nowhere", "a"),
                desk.kill(["nowhere"], "a"),
            ):
                with pytest.raises(UnknownError, match=r"9|nowhere"):
                    await asked

    asyncio.run(run())


# decisions


def test_cancelled_in_every_state(office: Opened) -> None:
    async def run() -> None:
        async with office(stop=60.0) as now:
            now.world.condition("rpi2", Condition.ASLEEP)
            waits = await now.desk.send(Draft("x", wish=Wish(host="rpi2", failover=False)), "ann")
            assert (await now.desk.cancel(waits.id, "bob")).state is State.CANCELLED
            runs = await now.desk.send(Draft("hang", wish=RPI1), "ann")
            await now.until(runs.id, State.RUNNING)
            assert (await now.desk.cancel(runs.id, "bob")).cancelling
            task = await now.until(runs.id, State.CANCELLED)
            assert (task.cancelling, task.reason) == (
                False,
                "cancelled by bob; the agent has stopped",
            )
            with pytest.raises(RefusedError, match="is cancelled"):
                await now.desk.cancel(runs.id, "bob")

    asyncio.run(run())


def test_a_cancellation_survives_a_new_start(office: Opened, world: World) -> None:
    async def run() -> None:
        async with office(stop=60.0) as now:
            sent = await now.desk.send(Draft("stubborn", wish=RPI1), "ann")
            await now.until(sent.id, State.RUNNING)
            await now.desk.cancel(sent.id, "bob")
        assert world.fakes["rpi1"].began == 1
        async with office() as now:
            assert "cancelled by bob" in (await now.until(sent.id, State.CANCELLED)).reason
        assert world.fakes["rpi1"].prompts == ["stubborn"]

    asyncio.run(run())


@pytest.mark.parametrize("decision", ["retry", "settle", "cancel"])
def test_people_decide_of_what_is_lost(office: Opened, decision: str) -> None:
    async def run() -> None:
        async with office() as now:
            agent = now.world.fakes["rpi1"]
            sent = await now.desk.send(Draft("hang", wish=RPI1), "ann")
            await now.until(sent.id, State.RUNNING)
            agent.silent = agent.away = True
            await now.until(sent.id, State.LOST)
            now.world.condition("rpi1", Condition.UNREACHABLE)
            task = await getattr(now.desk, decision)(sent.id, "bob")
            expected = {"retry": State.QUEUED, "settle": State.DONE, "cancel": State.CANCELLED}
            assert task.state is expected[decision]
            assert now.world.ended == ["rpi1-1"]  # it has no money to go on with
            assert task.attempt == (2 if decision == "retry" else 1)
            agent.silent = agent.away = False
            now.world.condition("rpi1", Condition.IDLE)
            if decision == "retry":
                assert (await now.until(sent.id, State.RUNNING)).session == "rpi1-2"
            else:
                await asyncio.sleep(0.1)
                assert (await now.desk.task(sent.id)).state is task.state

    asyncio.run(run())


def test_only_what_is_lost_is_settled_and_only_what_ended_is_tried_again(office: Opened) -> None:
    async def run() -> None:
        async with office() as now:
            sent = await now.desk.send(Draft("hang"), "ann")
            for decision in (now.desk.settle, now.desk.retry):
                with pytest.raises(RefusedError):
                    await decision(sent.id, "bob")

    asyncio.run(run())


# agents


def test_people_talk_to_agents_that_have_no_task(office: Opened) -> None:
    async def run() -> None:
        async with office() as now:
            await now.desk.say("rpi1", "say hello", "ann")
            said = await now.desk.conversation("rpi1")
            assert said[-1].content == "● hello"
            sent = await now.desk.send(Draft("hang", wish=RPI1), "ann")
            await now.until(sent.id, State.RUNNING)
            with pytest.raises(RefusedError, match=f"task {sent.id} is on rpi1"):
                await now.desk.say("rpi1", "x", "ann")
            with pytest.raises(RefusedError, match=f"task {sent.id} is on rpi1"):
                await now.desk.new_session("rpi1", "ann")
            now.world.fakes["rpi2"].silent = True
            with pytest.raises(RefusedError, match="connection refused"):
                await now.desk.say("rpi2", "x", "ann")
            now.world.fakes["rpi2"].away = True
            with pytest.raises(RefusedError, match="no route"):
                await now.desk.new_session("rpi2", "ann")

    asyncio.run(run())


def test_killed_agents_get_nothing_until_a_person_begins_anew(office: Opened, world: World) -> None:
    async def run() -> None:
        async with office() as now:
            sent = await now.desk.send(Draft("hang", wish=RPI1), "ann")
            await now.until(sent.id, State.RUNNING)
            assert await now.desk.kill(["rpi1"], "bob") == ("rpi1",)
            task = await now.until(sent.id, State.FAILED)
            assert task.reason == "its money was taken away by bob"
            assert world.killed == [("rpi1",)]
            waits = await now.desk.send(Draft("say x", wish=RPI1), "ann")
            async with asyncio.timeout(PATIENCE_S):  # it says how things were at the last look
                while "stopped by bob" not in now.desk.choose(RPI1).why:
                    await asyncio.sleep(0.005)
        async with office() as now:
            await asyncio.sleep(0.1)
            assert (await now.desk.task(waits.id)).state is State.QUEUED
            await now.desk.new_session("rpi1", "ann")
            await now.until(waits.id, State.DONE)
            assert await now.desk.kill([], "bob") == tuple(one.name for one in HOSTS)

    asyncio.run(run())


def test_a_host_that_is_drained_ends_what_it_has_and_gets_no_more(office: Opened) -> None:
    async def run() -> None:
        async with office() as now:
            sent = await now.desk.send(Draft("hang", wish=RPI1), "ann")
            await now.until(sent.id, State.RUNNING)
            await now.desk.drain("rpi1", "bob")
            waits = await now.desk.send(Draft("say x", wish=RPI1), "ann")
            now.world.fakes["rpi1"].add("agent", "● done")
            now.world.fakes["rpi1"].stand("stable")
            await now.until(sent.id, State.DONE)
            async with asyncio.timeout(PATIENCE_S):
                while "stopped by bob" not in now.desk.choose(RPI1).why:
                    await asyncio.sleep(0.005)
            assert (await now.desk.task(waits.id)).state is State.QUEUED
            with pytest.raises(UnknownError):
                await now.desk.drain("nobody", "bob")

    asyncio.run(run())


def test_what_runs_on_a_host_that_is_given_up_is_lost_and_can_be_had_again(
    office: Opened, world: World
) -> None:
    async def run() -> None:
        async with office(silent=30.0) as now:
            sent = await now.desk.send(Draft("hang"), "ann")
            there = (await now.until(sent.id, State.RUNNING)).host
            world.fakes[there].silent = world.fakes[there].away = True
            world.condition(there, Condition.UNREACHABLE)
            assert await now.desk.give_up(there, "bob") == (sent.id,)
            task = await now.until(sent.id, State.LOST)
            assert (task.reason, task.run) == (f"{there} was given up by bob", "")
            assert world.killed == [(there,)]
            again = await now.desk.retry(sent.id, "bob")
            assert again.attempt == 2
            assert (await now.until(sent.id, State.RUNNING)).host != there
            assert await now.desk.give_up(there, "bob") == (), "a second time"

    asyncio.run(run())


def test_what_is_lost_already_is_waited_for_no_more(office: Opened, world: World) -> None:
    async def run() -> None:
        async with office() as now:
            sent = await now.desk.send(Draft("hang", wish=RPI1), "ann")
            await now.until(sent.id, State.RUNNING)
            world.fakes["rpi1"].silent = world.fakes["rpi1"].away = True
            assert (await now.until(sent.id, State.LOST)).run
            assert await now.desk.give_up("rpi1", "bob") == (sent.id,)
            assert (await now.desk.task(sent.id)).run == ""
            world.fakes["rpi1"].silent = world.fakes["rpi1"].away = False
            await asyncio.sleep(0.1)
            assert (await now.desk.task(sent.id)).state is State.LOST

    asyncio.run(run())


# plans


def test_a_plan_is_made_reviewed_and_done(office: Opened, world: World) -> None:
    async def run() -> None:
        async with office() as now:
            made = await now.desk.think("Find out and tell.", "ann")
            assert made.state is PlanState.THINKING
            plan = await now.planned(made.id, PlanState.REVIEW)
            assert plan.cost == 5_000
            assert world.issued == [("rpi1", USD, "plan")]
            assert world.ended == ["plan-1"]
            tell, look = await now.desk.tasks(plan=plan.id)
            assert (look.step, look.wish.host, look.state) == ("look", "rpi2", State.DRAFT)
            assert (tell.step, tell.after) == ("tell", (look.id,))
            with pytest.raises(RefusedError, match="wait for each other"):
                await now.desk.change(look.id, "say 42", look.wish, [tell.id], "ann")
            with pytest.raises(RefusedError, match="no other step"):
                await now.desk.change(look.id, "say 42", look.wish, [99], "ann")
            await now.desk.change(look.id, "say 43", Wish(host="mini"), [], "ann")
            assert (await now.desk.approve(plan.id, "ann")).state is PlanState.APPROVED
            await now.until(tell.id, State.DONE)
            assert world.fakes["mini"].prompts == ["say 43"]
            assert any("● 43" in one for fake in world.fakes.values() for one in fake.prompts)
            with pytest.raises(RefusedError, match="not under review"):
                await now.desk.approve(plan.id, "ann")
            with pytest.raises(RefusedError, match="no step of a plan under review"):
                await now.desk.drop(look.id, "ann")

    asyncio.run(run())


def test_steps_are_dropped_and_plans_discarded(office: Opened) -> None:
    async def run() -> None:
        async with office() as now:
            made = await now.desk.think("x", "ann")
            await now.planned(made.id, PlanState.REVIEW)
            tell, look = await now.desk.tasks(plan=made.id)
            await now.desk.drop(look.id, "ann")
            assert (await now.desk.task(tell.id)).after == ()
            assert (await now.desk.discard(made.id, "ann")).state is PlanState.DISCARDED
            states = {one.state for one in await now.desk.tasks(plan=made.id)}
            assert states == {State.CANCELLED}

    asyncio.run(run())


def test_a_plan_may_run_at_once(office: Opened) -> None:
    async def run() -> None:
        async with office() as now:
            made = await now.desk.think("x", "ann", at_once=True)
            await now.planned(made.id, PlanState.APPROVED)
            for task in await now.desk.tasks(plan=made.id):
                await now.until(task.id, State.DONE)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (API_ERROR, "API Error: 402 budget"),
        (success({"steps": [{"key": "a", "title": "", "prompt": ""}]}), "no prompt"),
    ],
)
def test_a_plan_that_cannot_be_made_fails(
    office: Opened, tmp_path: Path, said: object, words: str
) -> None:
    async def run() -> None:
        claude(tmp_path, said)
        async with office() as now:
            made = await now.desk.think("x", "ann")
            plan = await now.planned(made.id, PlanState.FAILED)
            assert words in plan.reason
            assert now.world.ended == ["plan-1"]
            assert await now.desk.tasks(plan=plan.id) == ()

    asyncio.run(run())


def test_a_plan_that_was_being_made_when_the_service_ended_is_failed(
    office: Opened, world: World, tmp_path: Path
) -> None:
    async def run() -> None:
        store = Store(tmp_path / "tasks.sqlite")
        plan = store.records.add_plan("x", "ann", at_once=False)
        store.records.set_plan_session(plan.id, "plan-7")
        store.close()
        async with office() as now:
            found = await now.desk.plan(plan.id)
            assert found.state is PlanState.FAILED
            assert found.reason == "the service ended while it was made"
            assert world.ended == ["plan-7"]

    asyncio.run(run())


def test_what_people_did_is_kept_and_in_the_journal(
    office: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with office() as now:
            with caplog.at_level(logging.INFO, "audit"):
                await now.desk.audit(Audit(1.0, "ann", "100.64.0.9", "send", "a\nforged line"))
            assert caplog.messages == ["ann from 100.64.0.9: send a forged line"]
            assert (await now.desk.audits())[0].who == "ann"

    asyncio.run(run())


def test_a_session_that_begins_while_its_host_is_killed_is_killed_too(office: Opened) -> None:
    async def run() -> None:
        async with office(start=60.0) as now:
            agent = now.world.fakes["rpi1"]
            begin: Callable[[], str] = agent.begin

            def busy() -> str:
                session = begin()
                agent.stand("running")
                return session

            agent.begin = busy
            sent = await now.desk.send(Draft("say x", wish=RPI1), "ann")
            await now.until(sent.id, State.RESERVED)
            await now.desk.kill(["rpi1"], "bob")
            assert "by bob" in (await now.until(sent.id, State.FAILED)).reason
            async with asyncio.timeout(PATIENCE_S):
                while now.world.killed != [("rpi1",), ("rpi1",)]:
                    await asyncio.sleep(0.005)
            assert agent.prompts == []

    asyncio.run(run())
