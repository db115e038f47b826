"""What becomes of tasks, whatever agents, hosts, money and people do meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.registry.agentapi import NotReadyError, SilentError, UncertainError
from orchestrator.registry.model import Condition
from orchestrator.sessions import AgentError
from orchestrator.tasks.job import Order
from orchestrator.tasks.model import Code, Draft, Message, State, Wish
from tests.unit.orchestrator.tasks.fleets import USD
from tests.unit.orchestrator.tasks.world import World, uncertain

ON_RPI2 = Wish(host="rpi2", failover=False)
CANCEL = Order(State.CANCELLED, "cancelled by ann", "ann")
DONE, FAILED, LOST, RUNNING = State.DONE, State.FAILED, State.LOST, State.RUNNING
LONG = {"silent": 30.0, "asleep": 30.0, "mute": 30.0, "stop": 30.0}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_task_is_done(world: World) -> None:
    async def run() -> None:
        async with world.dispatched() as now:
            sent = await now.send("", draft=Draft("say hello", cap=2 * USD))
            task = await now.until(sent.id, DONE)
            assert (task.host, task.session, task.run) == ("rpi1", "rpi1-1", "r-1")
            assert task.why == "rpi1: idle, always on"
            assert (task.reason, task.sent > 0, task.ended > 0) == ("", True, True)
            assert await now.messages(task.id) == [("user", "say hello"), ("agent", "● hello")]
            kinds = [event.kind for event in await now.events(task.id)]
            assert kinds == ["queued", "reserved", "session", "sent", "running", "done"]
            assert world.caps == [2 * USD]
            assert world.tasks == {}

    asyncio.run(run())


def test_a_host_has_one_task_at_a_time_and_the_next_after_it(world: World) -> None:
    async def run() -> None:
        async with world.dispatched() as now:
            sent = [
                await now.send(f"say {one}", draft=Draft(f"say {one}", wish=ON_RPI2))
                for one in range(4)
            ]
            for one in sent:
                await now.until(one.id, DONE)
            assert world.fakes["rpi2"].prompts == ["say 0", "say 1", "say 2", "say 3"]
            assert world.fakes["rpi2"].began == 4

    asyncio.run(run())


def test_many_tasks_go_to_many_hosts(world: World) -> None:
    async def run() -> None:
        async with world.dispatched() as now:
            sent = [await now.send("hang") for _ in range(5)]
            hosts = {(await now.until(one.id, RUNNING)).host for one in sent[:4]}
            assert hosts == {"rpi1", "rpi2", "mini", "imac"}
            waits = await now.when(sent[4].id, lambda task: task.reason.count("works on task") == 3)
            assert waits.state is State.QUEUED
            world.fakes["mini"].stand("stable")
            assert (await now.until(sent[4].id, RUNNING)).host == "mini"

    asyncio.run(run())


def test_a_task_goes_where_it_can_and_says_why_it_waits(world: World) -> None:
    async def run() -> None:
        world.condition("imac", Condition.ASLEEP)
        async with world.dispatched() as now:
            there = await now.send("", draft=Draft("say x", wish=Wish(host="imac")))
            waits = await now.send("", draft=Draft("say x", wish=Wish(host="imac", failover=False)))
            never = await now.send("", draft=Draft("say x", wish=Wish(arch="riscv")))
            assert (await now.until(there.id, DONE)).host == "rpi1"
            assert "preferred imac sleeps" in (await now.task(there.id)).why
            assert (await now.until(never.id, FAILED)).reason.startswith("no host of the fleet")
            assert (
                "imac sleeps" in (await now.when(waits.id, lambda task: bool(task.reason))).reason
            )
            world.condition("imac", Condition.IDLE)
            assert (await now.until(waits.id, DONE)).host == "imac"

    asyncio.run(run())


@pytest.mark.parametrize("state", [RUNNING, LOST])
def test_a_host_that_has_left_the_fleet_takes_nothing_else_along(
    world: World, state: State
) -> None:
    """What it was told is lost; who drained it is forgotten; other tasks go on."""

    async def run() -> None:
        async with world.dispatched(**({} if state is LOST else LONG)) as now:
            sent = await now.send("", draft=Draft("hang", wish=ON_RPI2))
            await now.until(sent.id, RUNNING)
            if state is LOST:
                world.fakes["rpi2"].silent = world.fakes["rpi2"].away = True
                await now.until(sent.id, LOST)
            await now.work.ask(lambda store: store.records.hold(("rpi2", "mini"), "ann"))
        world.hosts = tuple(one for one in world.hosts if one.name != "rpi2")
        del world.fakes["rpi2"]
        async with world.dispatched() as now:
            await now.dispatcher.prepare()
            task = await now.when(sent.id, lambda one: one.state is LOST and not one.run)
            if state is RUNNING:
                assert task.reason == "rpi2 is no agent's host in fleet.yaml any more"
            other = await now.send("say hello")
            await now.until(other.id, DONE)
            assert await now.work.ask(lambda store: store.records.held()) == {"mini": "ann"}
            assert now.dispatcher.held == {"mini": "ann"}

    asyncio.run(run())


def test_what_is_said_is_seen_while_it_is_said(world: World) -> None:
    async def run() -> None:
        agent = world.fakes["rpi1"]
        async with world.dispatched(**LONG, look=30.0) as now, world.bus.listen() as news:
            sent = await now.send("hang")
            await now.until(sent.id, RUNNING)
            await now.when(sent.id, lambda _: bool(agent.listeners))
            for words in ("● W", "● Working on", "● Working on it"):
                agent.put(Message(2, "agent", words, 1.0))
                async with asyncio.timeout(20):
                    while (await now.messages(sent.id))[-1:] != [("agent", words)]:
                        await asyncio.sleep(0.005)
            async for one in news:
                if one.topic == "messages":
                    assert one.id == str(sent.id)
                    break

    asyncio.run(run())


def test_an_agent_that_cannot_be_listened_to_is_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with world.dispatched() as now:
            await now.until((await now.send("say x")).id, DONE)

    def broken(_: str) -> None:
        raise OSError("no stream")

    monkeypatch.setattr(world, "subscribe", broken)
    asyncio.run(run())


# at most once


def refuse(error: Exception) -> Callable[[str], None]:
    def hears(_: str) -> None:
        raise error

    return hears


def test_what_never_went_out_goes_to_another_host(world: World) -> None:
    async def run() -> None:
        world.fakes["rpi1"].hears = [refuse(SilentError("refused"))]
        async with world.dispatched(shun=30.0) as now:
            task = await now.until((await now.send("say x")).id, DONE)
            assert task.host == "rpi2"
            assert world.fakes["rpi1"].prompts == []

    asyncio.run(run())


def test_an_uncertain_prompt_that_arrived_is_followed(world: World) -> None:
    async def run() -> None:
        agent = world.fakes["rpi1"]

        def hears(text: str) -> None:
            agent.hear(text)
            raise UncertainError("no answer")

        agent.hears = [hears]
        async with world.dispatched() as now:
            await now.until((await now.send("say x")).id, DONE)
            assert agent.prompts == ["say x"]

    asyncio.run(run())


def test_an_uncertain_prompt_that_nobody_saw_is_lost_and_not_sent_again(world: World) -> None:
    async def run() -> None:
        world.fakes["rpi1"].hears = [uncertain]
        async with world.dispatched() as now:
            task = await now.until((await now.send("say x")).id, LOST)
            assert "may have been on its way" in task.reason
            other = await now.send("say y")
            assert (await now.until(other.id, DONE)).host == "rpi1"
            assert (await now.task(task.id)).state is LOST
            assert [fake.prompts for fake in world.fakes.values()] == [["say y"], [], [], []]

    asyncio.run(run())


def test_an_agent_that_is_not_ready_is_told_later_and_once(world: World) -> None:
    async def run() -> None:
        not_ready = refuse(NotReadyError("not waiting for user input"))
        world.fakes["rpi1"].hears = [not_ready, not_ready]
        async with world.dispatched(ready=30.0) as now:
            await now.until((await now.send("say x")).id, DONE)
            assert world.fakes["rpi1"].prompts == ["say x"]

    asyncio.run(run())


def test_an_agent_that_never_gets_ready_fails(world: World) -> None:
    async def run() -> None:
        not_ready = refuse(NotReadyError("not waiting for user input"))
        world.fakes["rpi1"].hears = [not_ready] * 10_000
        async with world.dispatched() as now:
            task = await now.until((await now.send("say x")).id, FAILED)
            assert task.reason == "the agent does not take a prompt: not waiting for user input"
            assert task.sent == 0

    asyncio.run(run())


def test_a_dialog_is_not_answered_with_a_prompt(world: World) -> None:
    async def run() -> None:
        agent = world.fakes["rpi1"]
        begin = agent.begin

        def stuck() -> str:
            session = begin()
            agent.stand("running")
            world.condition("rpi1", Condition.STUCK, "Do you trust this folder?")
            return session

        agent.begin = stuck  # type: ignore[method-assign]
        async with world.dispatched(start=30.0) as now:
            task = await now.until((await now.send("say x")).id, FAILED)
            assert task.reason == "the agent needs somebody: Do you trust this folder?"
            assert agent.prompts == []

    asyncio.run(run())


def test_a_host_that_cannot_be_reached_is_passed_over(world: World) -> None:
    async def run() -> None:
        world.fakes["rpi1"].away = world.fakes["rpi1"].silent = True
        async with world.dispatched(shun=30.0) as now:
            task = await now.until((await now.send("say x")).id, DONE)
            assert task.host == "rpi2"

    asyncio.run(run())


def test_a_host_that_says_no_fails_the_task_unless_retries_are_left(world: World) -> None:
    async def run() -> None:
        world.fakes["rpi1"].away = True
        async with world.dispatched(shun=30.0) as now:
            task = await now.until((await now.send("say x")).id, FAILED)
            assert task.reason == "rpi1: no route to host"
            task = await now.until((await now.send("", draft=Draft("say x", retries=1))).id, DONE)
            assert (task.host, task.retries) == ("rpi2", 0)

    asyncio.run(run())


# lost and found


def test_an_agent_that_falls_silent_is_lost_and_found_again(world: World) -> None:
    async def run() -> None:
        agent = world.fakes["rpi1"]
        async with world.dispatched() as now:
            sent = await now.send("hang")
            await now.until(sent.id, RUNNING)
            agent.silent = agent.away = True
            task = await now.until(sent.id, LOST)
            assert "does not answer" in task.reason
            agent.silent = agent.away = False
            task = await now.until(sent.id, RUNNING)
            assert (task.reason, task.ended) == ("", 0)
            agent.add("agent", "● That was long")
            agent.stand("stable")
            await now.until(sent.id, DONE)
            assert (await now.messages(sent.id))[-1] == ("agent", "● That was long")
            assert agent.prompts == ["hang"]

    asyncio.run(run())


def test_a_lost_tasks_host_gets_no_other_until_that_is_settled(world: World) -> None:
    async def run() -> None:
        agent = world.fakes["rpi2"]
        async with world.dispatched() as now:
            sent = await now.send("", draft=Draft("hang", wish=ON_RPI2))
            await now.until(sent.id, RUNNING)
            agent.silent = agent.away = True
            await now.until(sent.id, LOST)
            other = await now.send("", draft=Draft("say x", wish=ON_RPI2))
            await now.when(other.id, lambda task: "was lost there" in task.reason)
            agent.restart()
            agent.silent = agent.away = False
            await now.until(other.id, DONE)
            assert (await now.task(sent.id)).state is LOST
            assert agent.prompts == ["hang", "say x"]

    asyncio.run(run())


def test_a_short_silence_is_nothing(world: World) -> None:
    async def run() -> None:
        agent = world.fakes["rpi1"]
        async with world.dispatched(**LONG) as now:
            sent = await now.send("hang")
            await now.until(sent.id, RUNNING)
            agent.silent = True
            await asyncio.sleep(0.1)
            agent.silent = False
            agent.stand("stable")
            await now.until(sent.id, DONE)
            kinds = [event.kind for event in await now.events(sent.id)]
            assert "lost" not in kinds

    asyncio.run(run())


@pytest.mark.parametrize("how", ["process", "session"])
def test_an_agent_that_was_started_anew_is_lost_though_it_looks_done(
    world: World, how: str
) -> None:
    async def run() -> None:
        agent = world.fakes["rpi1"]
        async with world.dispatched(**LONG) as now:
            sent = await now.send("hang")
            await now.followed(sent.id)
            if how == "process":
                agent.restart()
            else:
                agent.session = "another"
                agent.stand("stable")
            task = await now.until(sent.id, LOST, DONE)
            assert (task.state, task.run) == (LOST, "")
            words = {"process": "process on rpi1 was started anew", "session": "another session"}
            assert words[how] in task.reason

    asyncio.run(run())


def test_a_host_that_does_not_say_which_session_it_was_has_not_done_it(world: World) -> None:
    async def run() -> None:
        agent = world.fakes["rpi1"]
        async with world.dispatched(mute=30.0) as now:
            sent = await now.send("hang")
            await now.followed(sent.id)
            agent.away = True
            agent.stand("stable")
            task = await now.until(sent.id, LOST, DONE)
            assert task.state is LOST
            agent.away = False
            await now.until(sent.id, DONE)

    asyncio.run(run())


# ends


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("error 529 overloaded", "API Error: 529 overloaded"),
        ("error 402 budget: spent", "API Error: 402 budget: spent"),
        ("mute", "the agent stands still and says nothing"),
    ],
)
def test_an_answer_that_is_none_fails(world: World, prompt: str, reason: str) -> None:
    async def run() -> None:
        async with world.dispatched() as now:
            task = await now.until((await now.send(prompt)).id, FAILED, DONE)
            assert (task.state, task.reason) == (FAILED, reason)

    asyncio.run(run())


def test_a_failed_task_is_tried_again_with_a_session_of_its_own(world: World) -> None:
    async def run() -> None:
        async with world.dispatched() as now:
            sent = await now.send("error x")
            await now.until(sent.id, FAILED)
            await now.work.ask(lambda store: store.again(sent.id, "bob"))
            now.work.tell(sent)
            task = await now.when(sent.id, lambda task: task.attempt == 2 and task.state is FAILED)
            assert task.session == "rpi1-2"
            assert await now.messages(sent.id) == [("user", "error x"), ("agent", "● API Error: x")]

    asyncio.run(run())


def test_a_running_task_is_interrupted(world: World) -> None:
    async def run() -> None:
        agent = world.fakes["rpi1"]
        async with world.dispatched(stop=30.0, escape=0.1) as now:
            sent = await now.send("hang")
            await now.until(sent.id, RUNNING)
            assert now.dispatcher.order(sent.id, CANCEL)
            task = await now.until(sent.id, State.CANCELLED)
            assert task.reason == "cancelled by ann; the agent has stopped"
            assert (agent.pressed, agent.began) == (1, 1)
            assert (await now.messages(sent.id))[-1] == ("agent", "Interrupted")
            assert (await now.events(sent.id))[-1].by == "ann"

    asyncio.run(run())


def test_an_agent_that_does_not_stop_is_ended(world: World) -> None:
    async def run() -> None:
        agent = world.fakes["rpi1"]
        async with world.dispatched() as now:
            sent = await now.send("stubborn")
            await now.until(sent.id, RUNNING)
            now.dispatcher.order(sent.id, CANCEL)
            task = await now.until(sent.id, State.CANCELLED)
            assert "its session was ended" in task.reason
            assert (agent.pressed, agent.began) == (3, 2)

    asyncio.run(run())


def test_an_agent_that_cannot_be_stopped_is_not_paid(world: World) -> None:
    async def run() -> None:
        agent = world.fakes["rpi1"]
        async with world.dispatched(silent=30.0) as now:
            sent = await now.send("hang")
            await now.until(sent.id, RUNNING)
            agent.silent = agent.away = True
            now.dispatcher.order(sent.id, CANCEL)
            task = await now.until(sent.id, State.CANCELLED)
            assert "its money was taken away" in task.reason
            assert world.ended == ["rpi1-1"]

    asyncio.run(run())


def test_a_reserved_task_is_cancelled_when_the_step_under_way_ends(world: World) -> None:
    async def run() -> None:
        agent = world.fakes["rpi1"]
        async with world.dispatched(start=30.0) as now:
            begin = agent.begin

            def busy() -> str:
                session = begin()
                agent.stand("running")
                return session

            agent.begin = busy  # type: ignore[method-assign]
            sent = await now.send("say x")
            await now.when(sent.id, lambda task: bool(task.session))
            assert now.dispatcher.order(sent.id, CANCEL)
            task = await now.until(sent.id, State.CANCELLED)
            assert (task.reason, agent.prompts) == ("cancelled by ann", [])

    asyncio.run(run())


# money


def test_what_it_costs_is_counted_to_the_last(world: World) -> None:
    async def run() -> None:
        async with world.dispatched() as now:
            sent = await now.send("hang")
            await now.until(sent.id, RUNNING)
            world.spent["rpi1"] = 100_000
            await now.when(sent.id, lambda task: task.cost == 100_000)
            world.fakes["rpi1"].stand("stable")
            await now.until(sent.id, DONE)
            world.spent["rpi1"] = 120_000
            await now.when(sent.id, lambda task: task.cost == 120_000)

    asyncio.run(run())


def test_who_spends_and_says_nothing_is_stopped(world: World) -> None:
    async def run() -> None:
        agent = world.fakes["rpi1"]
        async with world.dispatched(**LONG) as now:
            sent = await now.send("hang")
            await now.until(sent.id, RUNNING)
            await now.when(sent.id, lambda _: world.tasks == {"rpi1": sent.id})
            for step in range(1, 4):  # a dollar, and something new, each time
                world.spent["rpi1"] = step * USD
                await now.when(sent.id, lambda task, step=step: task.cost == step * USD)  # type: ignore[misc]
                agent.add("agent", f"● step {step}")
                while ("agent", f"● step {step}") not in await now.messages(sent.id):
                    await asyncio.sleep(0.005)
            assert (await now.task(sent.id)).state is RUNNING
            agent.put(replace(agent.said[-1], content=agent.said[-1].content + "\n✻ Thinking… 9s"))
            world.spent["rpi1"] = 3 * USD + 1_260_000
            task = await now.until(sent.id, FAILED)
            assert (
                task.reason
                == "it spent $1.26 and said nothing new meanwhile; the agent has stopped"
            )
            assert agent.pressed == 1

    asyncio.run(run())


def test_money_that_comes_to_its_end_is_told_once(world: World) -> None:
    async def run() -> None:
        async with world.dispatched(**LONG) as now:
            world.near.add("rpi1")
            sent = await now.send("hang")
            await now.until(sent.id, RUNNING)
            world.spent["rpi1"], world.cap = 400_000, 500_000
            await now.when(sent.id, lambda task: task.warned == 1)
        async with world.dispatched(**LONG) as now:
            await now.when(sent.id, lambda _: bool(world.fakes["rpi1"].listeners))
            world.fakes["rpi1"].stand("stable")
            await now.until(sent.id, DONE)
            guards = [one.text for one in await now.events(sent.id) if one.kind == "guard"]
            assert guards == ["80 % of its $0.50 are spent"]

    asyncio.run(run())


def test_who_tries_on_without_money_is_stopped(world: World) -> None:
    async def run() -> None:
        async with world.dispatched(**LONG) as now:
            sent = await now.send("hang")
            await now.until(sent.id, RUNNING)
            world.refused["rpi1"] = "budget: this session has spent $5.00 of its $5.00"
            task = await now.until(sent.id, FAILED)
            assert task.reason.startswith("budget: this session has spent")

    asyncio.run(run())


# code, files, steps


def test_code_and_files_go_first_and_a_patch_comes_back(world: World) -> None:
    async def run() -> None:
        agent, commit = world.fakes["rpi1"], "a" * 40
        agent.patched = b"diff --git a/x b/x\n+1\n"
        async with world.dispatched() as now:
            keep = now.work.ask
            file = await keep(lambda store: store.records.keep("a.txt", b"A"))
            bundle = await keep(lambda store: store.records.keep("b", b"B"))
            code = Code(bundle.sha256, commit, name="thing")
            draft = Draft("say x", attachments=(file,), code=code)
            task = await now.until((await now.send("", draft=draft)).id, DONE)
            assert agent.files == {"a.txt": b"A"}
            assert agent.code == {f"task-{task.id} {commit}": b"B"}
            assert f"/home/agent/work/task-{task.id}, at commit {commit}" in agent.prompts[0]
            assert "- /uploads/a.txt" in agent.prompts[0]
            patch = await keep(lambda store: store.records.patch(task.id))
            assert patch is not None
            assert (patch.base, patch.files, patch.attempt) == (commit, 1, 1)

    asyncio.run(run())


@pytest.mark.parametrize("found", [b"", b"rubbish", AgentError("no such work")])
def test_no_patch_is_no_fault(world: World, found: bytes | AgentError) -> None:
    async def run() -> None:
        world.fakes["rpi1"].patched = found
        async with world.dispatched() as now:
            bundle = await now.work.ask(lambda store: store.records.keep("b", b"B"))
            draft = Draft("say x", code=Code(bundle.sha256, "a" * 40))
            task = await now.until((await now.send("", draft=draft)).id, DONE)
            notes = [one.text for one in await now.events(task.id) if one.kind == "note"]
            assert len(notes) == 1
            assert notes[0].startswith("no patch: ")

    asyncio.run(run())


def test_a_step_hears_what_came_of_those_before_it(world: World) -> None:
    async def run() -> None:
        async with world.dispatched() as now:
            first = await now.send("", draft=Draft("say 42"), step="count", plan=1)
            then = await now.send("", draft=Draft("say so"), after=(first.id,), plan=1)
            task = await now.until(then.id, DONE)
            told = world.fakes[task.host].prompts[-1]
            assert told.startswith("say so\n")
            assert "step count on rpi1" in told
            assert "● 42" in told

    asyncio.run(run())


def test_a_step_that_fails_holds_those_after_it_and_no_others(world: World) -> None:
    async def run() -> None:
        async with world.dispatched() as now:
            bad = await now.send("error x")
            after = await now.send("", draft=Draft("say a"), after=(bad.id,))
            later = await now.send("", draft=Draft("say b"), after=(after.id,))
            free = await now.send("say c")
            await now.until(bad.id, FAILED)
            await now.until(free.id, DONE)
            held = await now.when(after.id, lambda task: "failed" in task.reason)
            assert held.reason == f"waits for task {bad.id}, which failed"
            assert (await now.when(later.id, lambda task: bool(task.reason))).reason == (
                f"waits for task {after.id}"
            )

    asyncio.run(run())
