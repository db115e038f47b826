"""The fleet at a glance, one agent with what is said there, and the switch that stops them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.desk import Desk, RefusedError, UnknownError
from orchestrator.health.model import Verdict
from orchestrator.registry.model import Agent, Condition
from orchestrator.tasks.model import OPEN, PlanState, State, Task, Wish
from orchestrator.web import operations as do
from orchestrator.web import schemas as shape
from orchestrator.web.pages.talk import conversation
from orchestrator.web.parts import Part, Shown
from orchestrator.web.render import html
from orchestrator.web.site import Site, then

PATIENCE_S = 3.0  # for an agent that is asked what was said; the page has to come
# They answer, so they can be asked what was said.
_THERE = frozenset(
    {
        Condition.IDLE,
        Condition.WORKING,
        Condition.STUCK,
        Condition.LOGGED_OUT,
        Condition.OVER_BUDGET,
    }
)
_ASKING = frozenset(
    {Condition.STUCK, Condition.LOGGED_OUT, Condition.UNREACHABLE, Condition.OVER_BUDGET}
)
_MOST = 20  # things that need somebody
_NAMED = 5  # faults, of those that the monitoring found


@dataclass(frozen=True)
class Need:
    """Something that waits for a person."""

    what: str
    why: str
    where: str


def agent_of(desk: Desk, name: str) -> Agent:
    """The agent of a host. Raises UnknownError."""
    for agent in desk.agents():
        if agent.host.name == name:
            return agent
    raise UnknownError(f"there is no agent on {name}")


async def _working_on(desk: Desk, agent: Agent) -> Task | None:
    try:
        return await desk.task(agent.task) if agent.task else None
    except UnknownError:
        return None


async def _summary(desk: Desk, which: str) -> Shown:
    counts = (await desk.counts()).by_state
    conditions = [agent.condition for agent in desk.agents()]
    there = [(one, conditions.count(one)) for one in Condition if one in conditions]
    going = sum(counts.get(state, 0) for state in OPEN)
    needs = await _needs(desk)
    values = {"there": there, "going": going, "fleet": desk.budgets().fleet, "needs": len(needs)}
    return Shown(html("parts/summary.html", **values))


async def _agent(desk: Desk, which: str) -> Shown:
    agent = agent_of(desk, which)
    return _card(agent, await _working_on(desk, agent))


def _card(agent: Agent, task: Task | None) -> Shown:
    return Shown(html("parts/agent.html", agent=agent, task=task))


async def _cards(desk: Desk) -> dict[str, Shown]:
    """All agents' parts, with one question for all of their tasks."""
    agents = desk.agents()
    begun = await desk.tasks([State.RESERVED, State.RUNNING], most=len(agents))
    tasks = {one.id: one for one in begun}
    return {
        f"agent:{one.host.name}": _card(one, tasks.get(one.task) or await _working_on(desk, one))
        for one in agents
    }


async def _agent_state(desk: Desk, which: str) -> Shown:
    agent = agent_of(desk, which)
    return Shown(html("parts/agent_state.html", agent=agent, task=await _working_on(desk, agent)))


async def _needs(desk: Desk) -> list[Need]:
    """What waits for a person, the most urgent first."""
    lost = await desk.tasks([State.LOST], most=_MOST)
    plans = [one for one in await desk.plans() if one.state is PlanState.REVIEW]
    return [
        *(Need(f"Task {one.id} is lost", one.reason, f"/tasks/{one.id}") for one in lost),
        *(Need(f"Plan {one.id} waits for approval", one.goal, f"/plans/{one.id}") for one in plans),
        *_health_needs(desk),
        *(_agents_need(desk)),
    ]


def _health_needs(desk: Desk) -> Iterator[Need]:
    """What agents do not say of themselves; one line, since the page of it has them all."""
    report = desk.health()
    failed = report.of(Verdict.FAILED) if report else ()
    if failed:
        names = ", ".join(one.name for one in failed[:_NAMED])
        more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        what = "1 fault" if len(failed) == 1 else f"{len(failed)} faults"
        yield Need(f"The monitoring found {what}", f"{names}{more}", "/health")


def _agents_need(desk: Desk) -> Iterator[Need]:
    for one in desk.agents():
        if one.condition in _ASKING:
            how = one.condition.value.replace("-", " ")
            yield Need(f"{one.host.name} is {how}", one.said, f"/agents/{one.host.name}")


async def _attention(desk: Desk, which: str) -> Shown:
    needs = await _needs(desk)
    values = {"needs": needs[:_MOST], "more": len(needs[_MOST:])}
    return Shown(html("parts/attention.html", **values))


async def _strangers(desk: Desk, which: str) -> Shown:
    return Shown(html("parts/strangers.html", strangers=desk.strangers()))


async def _talk(desk: Desk, which: str) -> Shown:
    if agent_of(desk, which).condition not in _THERE:
        return Shown(Markup('<p class="empty">{} does not answer now.</p>').format(which))
    try:
        async with asyncio.timeout(PATIENCE_S):
            said = await desk.conversation(which)
    except (TimeoutError, RefusedError) as error:
        why = str(error) or "it takes its time"
        return Shown(
            Markup('<p class="empty">{} was asked what it said: {}.</p>').format(which, why)
        )
    return conversation(said, f"said-{which}", "Nothing was said in this session yet.")


KINDS = (
    Part("summary", ("agents", "tasks", "plans", "costs", "health"), _summary),
    Part("agent", ("agents:", "costs"), _agent),
    Part("agent-state", ("agents:", "costs"), _agent_state),
    Part("attention", ("agents", "tasks", "plans", "health"), _attention),
    Part("strangers", ("agents",), _strangers),
    Part("talk", ("said:", "agents:"), _talk),
)


@dataclass(frozen=True)
class Pages:
    """The pages of the fleet, and what their buttons do."""

    site: Site

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/", self.fleet, methods=["GET"]),
            Route("/agents/{host}", self.agent, methods=["GET"]),
            Route("/agents/{host}/say", self.say, methods=["POST"]),
            Route("/agents/{host}/session", self.session, methods=["POST"]),
            Route("/kill", self.confirm, methods=["GET"]),
            Route("/kill", self.kill, methods=["POST"]),
        ]

    async def fleet(self, request: Request) -> Response:
        """The first page."""
        cards, names = (
            await _cards(self.site.desk),
            [one.host.name for one in self.site.desk.agents()],
        )
        parts = ["summary", "attention", "strangers", *cards]
        choice = self.site.desk.choose(Wish())
        return await self.site.page(
            request, "fleet.html", "Fleet", parts, known=cards, names=names, choice=choice
        )

    async def agent(self, request: Request) -> Response:
        """One agent."""
        host = agent_of(self.site.desk, request.path_params["host"]).host
        parts = [f"agent-state:{host.name}", f"talk:{host.name}"]
        return await self.site.page(request, "agent.html", host.name, parts, host=host)

    async def say(self, request: Request) -> Response:
        """Say something to it, or press keys."""
        form, host = await self.site.form(request), request.path_params["host"]
        body = {"text": form.text("text"), "raw": form.flag("raw")}
        shape.checker(shape.SAID)(body)
        await do.say(self.site.call(request, body, host=host))
        return then(f"/agents/{host}#talk")

    async def session(self, request: Request) -> Response:
        """Begin a new session there."""
        await self.site.form(request)
        host = request.path_params["host"]
        await do.new_session(self.site.call(request, host=host))
        return then(f"/agents/{host}")

    async def confirm(self, request: Request) -> Response:
        """Ask whether an agent is to be stopped, or all."""
        host = request.query_params.get("host", "")
        if host:
            agent_of(self.site.desk, host)
        everybody = [one.host.name for one in self.site.desk.agents()]
        title = f"Stop {host}?" if host else "Stop all agents?"
        return await self.site.page(request, "kill.html", title, host=host, everybody=everybody)

    async def kill(self, request: Request) -> Response:
        """Stop it, or them."""
        form = await self.site.form(request)
        host = form.text("host")
        if not host and not form.flag("all"):
            raise HTTPException(400, "The form has to say which agent is to be stopped, or all.")
        await do.kill(self.site.call(request, {"hosts": [host]} if host else {"all": True}))
        return then(f"/agents/{host}" if host else "/")
