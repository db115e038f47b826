"""A new task: the form, and where it would run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.desk import RefusedError, UnknownError
from orchestrator.gateway.money import micros
from orchestrator.tasks.model import Wish
from orchestrator.web import operations as do
from orchestrator.web import schemas as shape
from orchestrator.web.forms import Form
from orchestrator.web.operations import MOST_FILE
from orchestrator.web.parts import Part
from orchestrator.web.render import html
from orchestrator.web.site import Site, then

KINDS: tuple[Part, ...] = ()  # somebody types here: nothing changes by itself
_DEAREST = 10_000  # dollars that a task may be allowed


def wishes(site: Site) -> dict[str, list[str]]:
    """What may be chosen for a wish's fields: what the fleet has."""
    hosts = [agent.host for agent in site.desk.agents()]
    return {
        "host": [host.name for host in hosts],
        "role": sorted({host.role for host in hosts}),
        "arch": sorted({host.arch for host in hosts}),
        "os": sorted({host.os for host in hosts}),
    }


async def draft(form: Form, site: Site) -> dict[str, Any]:
    """The form of a new task, as the API has it. Its files are kept. Raises RefusedError."""
    body: dict[str, Any] = {
        "prompt": form.text("prompt").strip(),
        "title": form.text("title").strip(),
        "wish": asdict(form.wish()),
    }
    if (cap := _cap(form)) is not None:
        body["cap"] = cap
    shape.checker(shape.DRAFT)(body)
    kept = []
    for file in form.files("files"):
        content = await file.read(MOST_FILE + 1)
        if len(content) > MOST_FILE:
            raise HTTPException(413, f"A file may have {MOST_FILE >> 20} MiB.")
        kept.append(asdict(await site.desk.keep(file.filename or "", content)))
    return body | ({"attachments": kept} if kept else {})


def _cap(form: Form) -> int | None:
    """What the task may spend, in micro-dollars; None: what the host allows."""
    said = form.text("cap").strip().removeprefix("$")
    if not said:
        return None
    try:
        dollars = float(said)
    except ValueError:
        raise RefusedError(f"{said!r} is no amount of dollars") from None
    if not 0 < dollars <= _DEAREST:  # nan is refused here, too
        raise RefusedError(f"A task may spend more than nothing, and up to ${_DEAREST}.")
    return micros(dollars)


@dataclass(frozen=True)
class Pages:
    """The page of a new task, and what its buttons do."""

    site: Site

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/tasks", self.send, methods=["POST"]),
            Route("/tasks/new", self.new, methods=["GET"]),
            Route("/choose", self.choose, methods=["GET"]),
        ]

    async def new(self, request: Request, form: Form | None = None, problem: str = "") -> Response:
        """The form: empty, as it was sent, or with what is wrong with it."""
        wish = form.wish() if form else Wish(host=request.query_params.get("host", ""))
        return await self.site.page(
            request,
            "task_new.html",
            "New task",
            status=409 if problem else 200,
            wish=wish,
            wishes=wishes(self.site),
            choice=self.site.desk.choose(wish),
            typed={one: form.text(one) if form else "" for one in ("prompt", "title", "cap")},
            problem=problem,
        )

    async def send(self, request: Request) -> Response:
        """Send it; or only say where it would run."""
        form = await self.site.form(request)
        if form.flag("preview"):
            return await self.new(request, form)
        try:
            made = await do.send(self.site.call(request, await draft(form, self.site)))
        except (RefusedError, UnknownError, shape.OddBodyError) as error:
            return await self.new(request, form, str(error.args[0] if error.args else error))
        return then(f"/tasks/{made.id}")

    async def choose(self, request: Request) -> Response:
        """Where a task with these wishes would run, as a part of a page."""
        choice = self.site.desk.choose(Form(FormData({**request.query_params})).wish())
        return Response(html("parts/choice.html", choice=choice), media_type="text/html")
