"""Plans: a goal is split into steps, which a person changes and approves."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.desk import Desk, RefusedError
from orchestrator.tasks.model import PlanState, State, Task
from orchestrator.web import operations as do
from orchestrator.web import schemas as shape
from orchestrator.web.forms import Form
from orchestrator.web.parts import Part, Shown
from orchestrator.web.render import html
from orchestrator.web.site import Site, asked_number, number_in, number_of, then

PAGE = 50
MOST_STEPS = 200


async def _steps(desk: Desk, number: int) -> list[Task]:
    """The steps of a plan, the first one first."""
    return sorted(await desk.tasks(plan=number, most=MOST_STEPS), key=lambda task: task.id)


async def _row(desk: Desk, which: str) -> Shown:
    return Shown(html("parts/plan_row.html", plan=await desk.plan(number_of(which))))


async def _head(desk: Desk, which: str) -> Shown:
    plan = await desk.plan(number_of(which))
    return Shown(html("parts/plan.html", plan=plan, may=plan.state is PlanState.REVIEW))


async def _listed(desk: Desk, which: str) -> Shown:
    plan = await desk.plan(number_of(which))
    steps = await _steps(desk, plan.id)
    reviewed = plan.state is PlanState.REVIEW
    values = {
        "steps": [one for one in steps if not reviewed or one.state is State.DRAFT],
        "names": {one.id: one.step or str(one.id) for one in steps},
        "hosts": [agent.host.name for agent in desk.agents()],
        "choices": {one.id: desk.choose(one.wish, one.cap) for one in steps} if reviewed else {},
        "thinking": plan.state is PlanState.THINKING,
    }
    return Shown(html("parts/steps_review.html" if reviewed else "parts/steps.html", **values))


KINDS = (
    Part("plan-row", ("plans:",), _row),
    Part("plan", ("plans:",), _head),
    Part("plan-steps", ("plans:",), _listed),
)


@dataclass(frozen=True)
class Pages:
    """The pages of plans, and what their buttons do."""

    site: Site

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/plans", self.listed, methods=["GET"]),
            Route("/plans", self.think, methods=["POST"]),
            Route("/plans/{number:int}", self.one, methods=["GET"]),
            Route("/plans/{number:int}/save", self.save, methods=["POST"]),
            Route("/plans/{number:int}/approve", self.approve, methods=["POST"]),
            Route("/plans/{number:int}/discard", self.discard, methods=["POST"]),
            Route("/steps/{number:int}/drop", self.drop, methods=["POST"]),
        ]

    async def listed(self, request: Request) -> Response:
        """The list, and the form for a new goal."""
        before = asked_number(request, "before")
        found = await self.site.desk.plans(before=before, most=PAGE + 1)
        parts = [f"plan-row:{one.id}" for one in found[:PAGE]]
        older = found[PAGE - 1].id if len(found) > PAGE else 0
        return await self.site.page(
            request, "plans.html", "Plans", parts, rows=parts, older=older, before=before
        )

    async def think(self, request: Request) -> Response:
        """Have a goal split into steps."""
        form = await self.site.form(request)
        body = {"goal": form.text("goal").strip(), "at_once": form.flag("at_once")}
        shape.checker(shape.GOAL)(body)
        made = await do.think(self.site.call(request, body))
        return then(f"/plans/{made.id}")

    async def one(self, request: Request) -> Response:
        """One plan and its steps."""
        number = number_in(request)
        await self.site.desk.plan(number)
        names = {"head": f"plan:{number}", "steps": f"plan-steps:{number}"}
        parts, title = list(names.values()), f"Plan {number}"
        return await self.site.page(request, "plan.html", title, parts, names=names, number=number)

    async def save(self, request: Request) -> Response:
        """Keep what was changed in its steps."""
        number = number_in(request)
        await self._keep(request, number)
        return then(f"/plans/{number}")

    async def approve(self, request: Request) -> Response:
        """Keep it, and run them."""
        number = number_in(request)
        await self._keep(request, number)
        await do.approve(self.site.call(request, number=number))
        return then(f"/plans/{number}")

    async def discard(self, request: Request) -> Response:
        """Give the plan up."""
        await self.site.form(request)
        number = number_in(request)
        await do.discard(self.site.call(request, number=number))
        return then(f"/plans/{number}")

    async def drop(self, request: Request) -> Response:
        """Take a step out, and keep what was changed in the others."""
        number = number_in(request)
        plan = (await self.site.desk.task(number)).plan
        if not plan:
            raise RefusedError(f"task {number} is no step of a plan")
        await self._keep(request, plan, but=number)
        await do.drop(self.site.call(request, number=number))
        return then(f"/plans/{plan}")

    async def _keep(self, request: Request, plan: int, but: int = 0) -> None:
        """Change the steps that the form has otherwise, so that nothing that was typed is lost."""
        form = await self.site.form(request)
        for step in await _steps(self.site.desk, plan):
            if step.id == but or f"prompt-{step.id}" not in form.data:
                continue
            if step.state is State.DRAFT and (body := _changed(step, form)) is not None:
                shape.checker(shape.STEP)(body)
                await do.change(self.site.call(request, body, step.id))


def _changed(step: Task, form: Form) -> dict[str, Any] | None:
    """The step as the form has it, in the API's terms; None: as it is."""
    wish = replace(
        step.wish,
        host=form.text(f"host-{step.id}"),
        failover=form.flag(f"failover-{step.id}"),
    )
    prompt, after = form.text(f"prompt-{step.id}"), form.numbers(f"after-{step.id}")
    if (prompt, wish, set(after)) == (step.prompt, step.wish, set(step.after)):
        return None
    return {"prompt": prompt, "wish": asdict(wish), "after": after}
