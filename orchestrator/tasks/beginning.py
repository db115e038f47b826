"""From a host that is reserved to an agent that was told, at most once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from orchestrator.registry.agentapi import (
    AgentApiError,
    NotReadyError,
    RejectedError,
    SilentError,
)
from orchestrator.registry.conditions import needs_somebody
from orchestrator.registry.model import Condition
from orchestrator.tasks.job import CONTROL_ERRORS, End, Gone, Job
from orchestrator.tasks.model import Attachment, Message, State
from orchestrator.tasks.outcome import since
from orchestrator.tasks.prompt import Earlier, compose, result_of
from orchestrator.tasks.seams import Beginning

NEEDS_SOMEBODY = frozenset({Condition.STUCK, Condition.LOGGED_OUT})


async def begin(job: Job) -> None:
    """A session of its own, what the task needs, and then the prompt. Raises End."""
    await _session(job)
    job.obey()
    await _until_stable(job)
    where = await _code(job)
    job.obey()
    files = await _files(job)
    job.obey()
    prompt = compose(job.task.prompt, files, job.task.code, where, await _earlier(job))
    await _tell(job, prompt)


async def _session(job: Job) -> None:
    control, task = job.work.control, job.task
    try:
        session = await control.new_session(task.host, task.cap)
        there = await control.status(task.host)
    except CONTROL_ERRORS as error:
        raise await job.not_begun(error) from None
    if there.session != session:
        raise End(State.QUEUED, f"another session was begun on {task.host}")
    await job.note("session", f"{session} on {task.host}", session=session, run=there.run)


async def _until_stable(job: Job) -> None:
    """Wait until the agent listens. A session that never does is the host's fault."""
    now = time.monotonic
    until, error = now() + job.work.times.start, "it goes on with something else"
    while now() < until:
        job.obey()
        try:
            if await job.api.status() == "stable":
                _unless_stuck(job)
                _unless_asking(await job.api.messages())
                return
        except AgentApiError as fault:
            error = str(fault)
        _unless_stuck(job)
        await job.pause(job.work.times.again)
    raise await job.not_begun(TimeoutError(f"the new session did not get ready: {error}"))


def _unless_stuck(job: Job) -> None:
    """A prompt would answer a dialog. What was known before this task came is of no account."""
    agent = job.work.agent(job.task.host)
    if agent and agent.condition in NEEDS_SOMEBODY and agent.since >= job.task.changed:
        raise End(State.FAILED, f"the agent needs somebody: {agent.said or agent.condition.value}")


def _unless_asking(said: Sequence[Message]) -> None:
    """The same, from what it says at this very moment."""
    last = next((one.content for one in reversed(said) if one.role == "agent"), "")
    if trouble := needs_somebody(last):
        raise End(State.FAILED, f"the agent needs somebody: {trouble[1]}")


async def _code(job: Job) -> str:
    code, task = job.task.code, job.task
    if code is None:
        return ""
    try:
        bundle = await job.work.ask(lambda store: store.records.content(code.bundle))
        name = f"task-{task.id}"
        where = await job.work.control.bring_code(task.host, name, code.commit, bundle)
    except KeyError:
        raise End(State.FAILED, "its code is not kept any more: send the task anew") from None
    except CONTROL_ERRORS as error:
        raise await job.not_begun(error) from None
    await job.note("uploaded", f"{code.name or 'code'} at {code.commit[:12]} in {where}")
    return where


async def _files(job: Job) -> list[str]:
    paths = []
    for file in job.task.attachments:
        try:
            path = await job.api.upload(file.name, await _content(job, file))
        except KeyError:
            raise End(State.FAILED, f"{file.name} is not kept any more: send it anew") from None
        except AgentApiError as error:
            raise await job.not_begun(error) from None
        await job.note("uploaded", f"{file.name} as {path}")
        paths.append(path)
        job.obey()
    return paths


async def _content(job: Job, file: Attachment) -> bytes:
    return await job.work.ask(lambda store: store.records.content(file.sha256))


async def _earlier(job: Job) -> list[Earlier]:
    """What came of the tasks that had to be done before."""
    return [await _what_came_of(job, number) for number in job.task.after]


async def _what_came_of(job: Job, number: int) -> Earlier:
    task = await job.work.ask(lambda store: store.task(number))
    said = await job.work.ask(lambda store: store.records.messages(number, task.attempt))
    return Earlier(task.step or f"task {number}", task.host, result_of(said))


async def _tell(job: Job, prompt: str) -> None:
    """That it was told is on disk before it is told: whatever breaks, nobody tells it twice."""
    work, task, until = job.work, job.task, time.monotonic() + job.work.times.ready
    while True:
        job.obey()
        try:
            floor = max((one.number for one in await job.api.messages()), default=-1)
            await job.note("sent", f"to {task.host}", sent=work.clock(), floor=floor)
            await job.api.say(prompt)
            break
        except SilentError as error:  # it is certain that nothing went out
            raise End(State.QUEUED, str(error)) from None
        except RejectedError as error:
            if not job.task.sent:
                raise await job.not_begun(error) from None
            raise End(State.FAILED, f"the agent refused the prompt: {error}") from None
        except NotReadyError as error:  # the agent's side has refused it
            await job.note("note", f"not taken: {error}", sent=0.0)
            if time.monotonic() > until:
                raise End(State.FAILED, f"the agent does not take a prompt: {error}") from None
            await job.pause(work.times.again)
        except AgentApiError as error:
            if not job.task.sent:  # nothing but a question has failed
                raise await job.not_begun(error) from None
            await seek(job, str(error))
            break
    await job.change(State.RUNNING)


async def seek(job: Job, fault: str) -> None:
    """Return when the prompt is among what was said; else nobody knows. Raises End.

    While the agent's host does not answer, its run is kept: it may come back.
    """
    times, until, reached = job.work.times, time.monotonic() + job.work.times.known, False
    while True:
        try:
            said = await job.api.messages()
            reached = True
        except AgentApiError as error:
            fault = str(error)
        else:
            if since(said, job.task.floor):
                return
        if time.monotonic() > until:
            break
        await asyncio.sleep(times.again)
    if reached:
        words = "the prompt may have been on its way, and is not among what the agent was told"
        raise End(State.LOST, f"{words}: {fault}", run="")
    raise End(State.LOST, f"{job.task.host} does not answer: {fault}")


async def recover(job: Job) -> None:
    """The service ended in the moment in which the agent was told: see whether it was."""
    until = time.monotonic() + job.work.times.known
    while (there := await _there(job)) is None:
        if time.monotonic() > until:
            raise End(State.LOST, f"{job.task.host} does not say what goes on there")
        await asyncio.sleep(job.work.times.again)
    if words := job.differs(there):
        raise End(State.LOST, words, run="")
    await seek(job, "the service ended meanwhile")
    await job.change(State.RUNNING, "the agent was told")


async def come_back(job: Job) -> None:
    """Return when a lost task's agent is found working on it again. Raises Gone."""
    while True:
        there = await _there(job)
        try:
            said = await job.api.messages()
        except AgentApiError:
            there = None
        if there is not None:
            words = job.differs(there)
            if words or not since(said, job.task.floor):
                await job.note("note", words or "the agent was not told", run="")
                raise Gone
            await job.change(State.RUNNING, "its agent came back", reason="")
            return
        await job.pause(job.work.times.look)
        if job.order:
            raise Gone


async def _there(job: Job) -> Beginning | None:
    try:
        return await job.work.control.status(job.task.host)
    except CONTROL_ERRORS:
        return None
