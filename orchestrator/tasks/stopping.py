"""Stopping an agent that was told: interrupted, and ended where that does not help."""

from __future__ import annotations

import asyncio
import time

from orchestrator.registry.agentapi import AgentApiError
from orchestrator.tasks.job import CONTROL_ERRORS, Job

ESCAPE = "\x1b"
PRESSES = 3


async def stop(job: Job) -> str:
    """Stop the agent; returns how that went, in words."""
    times, began = job.work.times, time.monotonic()
    for _ in range(PRESSES):
        # never to one that stands still: there, Escape twice opens a dialog
        if await _stands(job):
            break
        await _press(job)
        await asyncio.sleep(times.escape)
    while time.monotonic() - began < times.stop:
        if await _stands(job):
            return "the agent has stopped"
        await asyncio.sleep(times.again)
    try:
        await job.work.control.new_session(job.task.host, None)
    except CONTROL_ERRORS:
        await job.work.end_session(job.task.session)
        return "the agent does not stop, and its host does not answer: its money was taken away"
    return "the agent did not stop: its session was ended"


async def _stands(job: Job) -> bool:
    """Whether it stands still, and still does after a while."""
    for last in (False, True):
        try:
            if await job.api.status() != "stable":
                return False
        except AgentApiError:
            return False
        if not last:
            await asyncio.sleep(job.work.times.settle)
    return True


async def _press(job: Job) -> None:
    try:
        await job.api.press(ESCAPE)
    except AgentApiError:
        return  # what came of it shows
