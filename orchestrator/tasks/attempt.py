"""One attempt from where it is to its end, and what is written of that."""

from __future__ import annotations

import logging

from orchestrator.tasks.beginning import begin, come_back, recover
from orchestrator.tasks.code import BadCodeError, read_patch
from orchestrator.tasks.following import Following
from orchestrator.tasks.job import CONTROL_ERRORS, End, Gone, Job
from orchestrator.tasks.model import State
from orchestrator.tasks.store import NOT_TOLD, OrderError

log = logging.getLogger("orchestrator")
TOLD = frozenset({State.DONE, State.FAILED, State.CANCELLED})


async def attempt(job: Job) -> State:
    """Carry it on; the state that it came to. Whatever is cut off goes on after the next start."""
    job.work.fleet.assign(job.task.host, job.task.id)
    try:
        await _course(job)
    except Gone:
        return State.LOST
    except OrderError as error:  # a person has decided meanwhile
        log.info("task %d: %s", job.task.id, error)
        return job.task.state
    except End as end:
        return await _end(job, end)
    finally:
        job.work.fleet.release(job.task.host)
    raise AssertionError("a course has an end")


async def _course(job: Job) -> None:
    task = job.task
    if task.state is State.LOST:
        await come_back(job)
    elif task.state is State.RESERVED and task.sent:
        await recover(job)
    elif task.state is State.RESERVED:
        await begin(job)
    await Following(job).run()


async def _end(job: Job, end: End) -> State:
    by = job.order.by if job.order else ""
    state, words, values = end.state, end.words, end.values
    if state is State.QUEUED and job.order:  # it came while nobody looked
        state, words = job.order.state, job.order.words
    elif state is State.QUEUED:
        values = NOT_TOLD | values
    if state is State.LOST and job.order:  # a person has given its host up
        if job.task.sent:
            values = values | {"run": ""}
        else:
            state, values = State.QUEUED, NOT_TOLD | values
    elif state in TOLD and job.task.state is State.RUNNING:
        await _fetch_patch(job)
    try:
        await job.change(state, words, by, **{"reason": words, "cancelling": False} | values)
    except OrderError as error:  # a person was faster
        log.info("task %d: %s", job.task.id, error)
    return state


async def _fetch_patch(job: Job) -> None:
    """What it changed in its code, as far as that can be had."""
    task, code = job.task, job.task.code
    if code is None:
        return
    try:
        content = await job.work.control.patch(task.host, f"task-{task.id}", code.commit)
        patch = read_patch(task.attempt, code.commit, content)
    except (*CONTROL_ERRORS, BadCodeError) as error:
        await job.note("note", f"no patch: {error}")
        return
    if patch is None:
        await job.note("note", "no patch: nothing was changed in the code")
        return
    await job.work.ask(lambda store: store.records.keep_patch(task.id, patch))
    await job.note("patch", f"{patch.files} files, {patch.commits} commits")
