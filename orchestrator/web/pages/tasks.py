"""Tasks: the list, and one of them with what was said and changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from orchestrator.desk import Desk, UnknownError
from orchestrator.tasks.model import FOLLOWS, OPEN, State, Task
from orchestrator.web import operations as do
from orchestrator.web.operations import Call
from orchestrator.web.pages.talk import conversation
from orchestrator.web.parts import Part, Shown
from orchestrator.web.render import PATCH_LINES, html, patch_lines
from orchestrator.web.site import Handler, Site, asked_number, number_in, number_of, then

PAGE = 50
_WAITING = "Nothing was said yet: the agent gets the task when its turn comes."


def _states(said: str) -> list[State]:
    """The states in a part's name or a query, those left out that are none."""
    words = said.split(",")
    return [one for one in State if one.value in words]


def _attempt(which: str) -> tuple[int, int]:
    """A task, and which of its attempts: 0 for the latest."""
    number, _, attempt = which.partition(".")
    return number_of(number), number_of(attempt or "0")


async def _row(desk: Desk, which: str) -> Shown:
    return _row_of(await desk.task(number_of(which)))


def _row_of(task: Task) -> Shown:
    return Shown(html("parts/task_row.html", task=task))


async def _counts(desk: Desk, which: str) -> Shown:
    counts = (await desk.counts()).by_state
    there = [(one, counts.get(one, 0)) for one in State]  # all of them: none may come or go
    values = {"there": there, "chosen": _states(which), "all": sum(counts.values())}
    return Shown(html("parts/task_counts.html", **values))


async def _newer(desk: Desk, which: str) -> Shown:
    number, _, states = which.partition(".")
    newest = await desk.tasks(_states(states), most=PAGE)
    number_seen = number_of(number)
    newer = sum(one.id > number_seen for one in newest)
    return Shown(html("parts/task_newer.html", newer=newer, most=PAGE))


async def _head(desk: Desk, which: str) -> Shown:
    task = await desk.task(number_of(which))
    awaited = [await desk.task(number) for number in task.after]
    may = {
        "cancel": (task.state in OPEN or task.state is State.LOST) and not task.cancelling,
        "retry": State.QUEUED in FOLLOWS[task.state] and task.state not in {*OPEN, State.DRAFT},
        "settle": task.state is State.LOST,
    }
    return Shown(html("parts/task.html", task=task, awaited=awaited, may=may))


async def _said(desk: Desk, which: str) -> Shown:
    number, attempt = _attempt(which)
    return conversation(await desk.messages(number, attempt), f"m{number}", _WAITING)


async def _events(desk: Desk, which: str) -> Shown:
    return Shown(html("parts/events.html", events=await desk.events(number_of(which))))


async def _patch(desk: Desk, which: str) -> Shown:
    number, attempt = _attempt(which)
    found = await desk.patch(number, attempt)
    lines = list(patch_lines(found)) if found else []
    more = found.text.count("\n") - PATCH_LINES if found else 0
    values = {"task": await desk.task(number), "patch": found, "lines": lines, "more": more}
    return Shown(html("parts/patch.html", **values))


KINDS = (
    Part("task-row", ("tasks:",), _row),
    Part("task-counts", ("tasks",), _counts),
    Part("task-newer", ("tasks",), _newer),
    Part("task", ("tasks:",), _head),
    Part("task-said", ("messages:", "tasks:"), _said),
    Part("task-events", ("tasks:",), _events),
    Part("task-patch", ("tasks:",), _patch),
)


@dataclass(frozen=True)
class Pages:
    """The pages of tasks, and what their buttons do."""

    site: Site

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/tasks", self.listed, methods=["GET"]),
            Route("/tasks/{number:int}", self.one, methods=["GET"]),
            Route("/tasks/{number:int}/patch", self.patch, methods=["GET"]),
            Route("/tasks/{number:int}/cancel", self._button(do.cancel), methods=["POST"]),
            Route("/tasks/{number:int}/retry", self._button(do.retry), methods=["POST"]),
            Route("/tasks/{number:int}/settle", self._button(do.settle), methods=["POST"]),
        ]

    async def listed(self, request: Request) -> Response:
        """The list: of some states, or older than a task."""
        states = _states(",".join(request.query_params.getlist("state")))
        before = asked_number(request, "before")
        tasks = await self.site.desk.tasks(states, before=before, most=PAGE + 1)
        shown, words = tasks[:PAGE], ",".join(states)
        rows = {f"task-row:{one.id}": _row_of(one) for one in shown}
        counts, newer = f"task-counts:{words}", f"task-newer:{shown[0].id if shown else 0}.{words}"
        return await self.site.page(
            request,
            "tasks.html",
            "Tasks",
            [counts, *rows, *([] if before else [newer])],
            known=rows,
            tasks=shown,
            counts=counts,
            newer="" if before else newer,
            states=states,
            before=before,
            older=shown[-1].id if len(tasks) > PAGE else 0,
        )

    async def one(self, request: Request) -> Response:
        """One task; an attempt of it, where the query names one."""
        number, attempt = number_in(request), asked_number(request, "attempt")
        task = await self.site.desk.task(number)
        which = f"{number}.{attempt}" if attempt else str(number)
        names = {
            "head": f"task:{number}",
            "said": f"task-said:{which}",
            "patch": f"task-patch:{which}",
            "events": f"task-events:{number}",
        }
        return await self.site.page(
            request,
            "task.html",
            f"Task {number}: {task.title}",
            list(names.values()),
            task=task,
            names=names,
            attempt=attempt or task.attempt,
        )

    async def patch(self, request: Request) -> Response:
        """What it changed, as a file."""
        number = number_in(request)
        found = await self.site.desk.patch(number, asked_number(request, "attempt"))
        if found is None:
            raise UnknownError(f"task {number} has no patch")
        headers = {"content-disposition": f'attachment; filename="task-{number}.patch"'}
        return PlainTextResponse(found.text.encode("utf-8", "replace"), headers=headers)

    def _button(self, operation: Callable[[Call], Awaitable[object]]) -> Handler:
        """Do it with the task, and show what came of it."""

        async def endpoint(request: Request) -> Response:
            await self.site.form(request)
            number = number_in(request)
            await operation(self.site.call(request, number=number))
            return then(f"/tasks/{number}")

        return endpoint
