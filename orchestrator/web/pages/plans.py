"""Plans: a goal is split into steps, which a person changes and approves."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.desk import Desk
from orchestrator.tasks.model import Plan, PlanState, State, Task
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


def routes(site: Site) -> list[Route]:
    """The pages, and what their buttons do."""

    async def listed(request: Request) -> Response:
        before = asked_number(request, "before")
        found = await site.desk.plans(before=before, most=PAGE + 1)
        parts = [f"plan-row:{one.id}" for one in found[:PAGE]]
        older = found[PAGE - 1].id if len(found) > PAGE else 0
        values: dict[str, Any] = {"rows": parts, "older": older, "before": before}
        return await site.page(request, "plans.html", "Plans", parts, **values)

    async def think(request: Request) -> Response:
        form = await site.form(request)
        body = {"goal": form.text("goal").strip(), "at_once": form.flag("at_once")}
        shape.checker(shape.GOAL)(body)
        made = await do.think(site.call(request, body))
        if not isinstance(made, Plan):
            raise TypeError("a plan that is being made is one")
        return then(f"/plans/{made.id}")

    async def one(request: Request) -> Response:
        number = number_in(request)
        await site.desk.plan(number)
        names = {"head": f"plan:{number}", "steps": f"plan-steps:{number}"}
        parts, title = list(names.values()), f"Plan {number}"
        return await site.page(request, "plan.html", title, parts, names=names, number=number)

    async def save(request: Request) -> Response:
        number = number_in(request)
        await _save(site, request, await site.form(request), number)
        return then(f"/plans/{number}")

    async def approve(request: Request) -> Response:
        number = number_in(request)
        await _save(site, request, await site.form(request), number)
        await do.approve(site.call(request, number=number))
        return then(f"/plans/{number}")

    async def discard(request: Request) -> Response:
        await site.form(request)
        number = number_in(request)
        await do.discard(site.call(request, number=number))
        return then(f"/plans/{number}")

    async def drop(request: Request) -> Response:
        form, number = await site.form(request), number_in(request)
        plan = (await site.desk.task(number)).plan
        await _save(site, request, form, plan, but=number)
        await do.drop(site.call(request, number=number))
        return then(f"/plans/{plan}")

    return [
        Route("/plans", listed, methods=["GET"]),
        Route("/plans", think, methods=["POST"]),
        Route("/plans/{number:int}", one, methods=["GET"]),
        Route("/plans/{number:int}/save", save, methods=["POST"]),
        Route("/plans/{number:int}/approve", approve, methods=["POST"]),
        Route("/plans/{number:int}/discard", discard, methods=["POST"]),
        Route("/steps/{number:int}/drop", drop, methods=["POST"]),
    ]


async def _save(site: Site, request: Request, form: Form, plan: int, but: int = 0) -> None:
    """Change the steps that the form has otherwise, so that nothing that was typed is lost."""
    for step in await _steps(site.desk, plan):
        if step.id == but or step.state is not State.DRAFT or f"prompt-{step.id}" not in form.data:
            continue
        wanted = replace(
            step.wish,
            host=form.text(f"host-{step.id}"),
            failover=form.flag(f"failover-{step.id}"),
        )
        prompt = form.text(f"prompt-{step.id}")
        after = tuple(form.numbers(f"after-{step.id}"))
        if (prompt, wanted, set(after)) == (step.prompt, step.wish, set(step.after)):
            continue
        body = {"prompt": prompt, "wish": asdict(wanted), "after": list(after)}
        shape.checker(shape.STEP)(body)
        await do.change(site.call(request, body, step.id))
