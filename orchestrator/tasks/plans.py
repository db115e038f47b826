"""Plans: a goal becomes steps, which a person approves, and which are tasks like others then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from orchestrator.client import ServiceError
from orchestrator.desk import News, RefusedError
from orchestrator.tasks.model import Plan, PlanState, State, Task, Wish
from orchestrator.tasks.steps import PlanError, Step, question, read_steps, schema
from orchestrator.tasks.store import Store
from orchestrator.tasks.thinker import Thinker, ThinkError
from orchestrator.tasks.work import Work

log = logging.getLogger("orchestrator")
MOST_AT_ONCE = 3  # plans that are being made
Issue = Callable[[], Awaitable[tuple[str, str]]]  # a session that pays for a plan, and its token


class Plans:
    """Makes and keeps plans. `thinker` is Claude Code with a token to pay with."""

    def __init__(self, work: Work, issue: Issue, thinker: Callable[[str], Thinker]) -> None:
        self._work, self._issue, self._thinker = work, issue, thinker
        self._thinking: dict[int, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Plans that were being made when the service ended are failed; their money is ended."""
        for number, session in await self._work.ask(lambda store: store.records.unfinished_plans()):
            await self._work.end_session(session)
            await self._fail_unfinished(number)

    async def _fail_unfinished(self, number: int) -> None:
        def fail(store: Store) -> None:
            store.records.set_plan_session(number, "")
            if store.records.plan(number).state is PlanState.THINKING:
                words = "the service ended while it was made"
                store.records.set_plan(number, PlanState.FAILED, words)

        await self._work.ask(fail)

    async def stop(self) -> None:
        """End what is being made."""
        thinking = list(self._thinking.values())
        for task in thinking:
            task.cancel()
        await asyncio.gather(*thinking, return_exceptions=True)

    # making

    async def think(self, goal: str, by: str, *, at_once: bool) -> Plan:
        """Begin to make a plan. Raises RefusedError."""
        if not goal.strip():
            raise RefusedError("say what the goal is")
        if len(self._thinking) >= MOST_AT_ONCE:
            raise RefusedError(f"{MOST_AT_ONCE} plans are being made: wait for one of them")
        plan = await self._work.ask(
            lambda store: store.records.add_plan(goal.strip(), by, at_once=at_once)
        )
        task = asyncio.create_task(self._make(plan))
        self._thinking[plan.id] = task
        task.add_done_callback(lambda _: self._thinking.pop(plan.id, None))
        self._tell(plan.id)
        return plan

    async def _make(self, plan: Plan) -> None:
        agents, budgets = self._work.fleet.agents(), self._work.money.budgets()
        cost = 0
        try:
            asked = question(plan.goal, agents, budgets)
            said, cost = await self._paid(plan.id, asked)
            steps = read_steps(said, agents)
        except ThinkError as error:
            await self._failed(plan.id, str(error), error.cost)
        except (PlanError, ServiceError) as error:
            await self._failed(plan.id, str(error), cost)
        else:
            await self._work.ask(lambda store: keep_steps(store, plan, steps, cost))
            log.info("plan %d has %d steps", plan.id, len(steps))
        self._tell(plan.id)

    async def _paid(self, number: int, asked: str) -> tuple[object, int]:
        """Ask with money of its own, which ends with the answer."""
        session, token = await self._issue()
        try:
            await self._work.ask(lambda store: store.records.set_plan_session(number, session))
            form = schema(self._work.fleet.agents())
            return await self._thinker(token).think(asked, form)
        finally:
            await asyncio.shield(self._end(number, session))

    async def _end(self, number: int, session: str) -> None:
        await self._work.end_session(session)
        await self._work.ask(lambda store: store.records.set_plan_session(number, ""))

    async def _failed(self, number: int, words: str, cost: int) -> None:
        log.warning("plan %d: %s", number, words.replace("\n", " ")[:300])
        await self._work.ask(
            lambda store: store.records.set_plan(number, PlanState.FAILED, words, cost)
        )

    # reviewing

    async def change(
        self, number: int, prompt: str, wish: Wish, after: Sequence[int], by: str
    ) -> Task:
        """Change a step. Raises RefusedError, KeyError."""
        if not prompt.strip():
            raise RefusedError("a step needs a prompt")
        task = await self._work.ask(
            lambda store: change_step(store, number, prompt.strip(), wish, tuple(after), by)
        )
        self._work.tell(task)
        return task

    async def drop(self, number: int, by: str) -> None:
        """Take a step out. Raises RefusedError, KeyError."""
        task = await self._work.ask(lambda store: drop_step(store, number, by))
        self._work.tell(task)

    async def approve(self, number: int, by: str) -> Plan:
        """Queue all steps. Raises RefusedError, KeyError."""
        return await self._settle(number, PlanState.APPROVED, State.QUEUED, by)

    async def discard(self, number: int, by: str) -> Plan:
        """Cancel all steps. Raises RefusedError, KeyError."""
        return await self._settle(number, PlanState.DISCARDED, State.CANCELLED, by)

    async def _settle(self, number: int, to: PlanState, steps: State, by: str) -> Plan:
        plan = await self._work.ask(lambda store: settle_plan(store, number, to, steps, by))
        self._tell(number)
        self._work.bus.tell(News("tasks"))
        return plan

    def _tell(self, number: int) -> None:
        self._work.bus.tell(News("plans", str(number)))

    async def made(self) -> None:
        """Wait until no plan is being made."""
        while self._thinking:
            with suppress(asyncio.CancelledError):
                await asyncio.wait(list(self._thinking.values()))


# each of these is one transaction in the store


def keep_steps(store: Store, plan: Plan, steps: Sequence[Step], cost: int) -> None:
    """The steps become tasks, which wait for a person, or not."""
    with store.whole():
        numbers: dict[str, int] = {}
        state = State.QUEUED if plan.at_once else State.DRAFT
        for step in steps:
            after = tuple(numbers[key] for key in step.after)
            task = store.add(step.draft, plan.by, state, plan=plan.id, step=step.key, after=after)
            numbers[step.key] = task.id
        to = PlanState.APPROVED if plan.at_once else PlanState.REVIEW
        store.records.set_plan(plan.id, to, cost=cost)


def change_step(
    store: Store, number: int, prompt: str, wish: Wish, after: tuple[int, ...], by: str
) -> Task:
    """A step says something else, or waits for others."""
    with store.whole():
        task = _step_under_review(store, number)
        others = {one.id: one for one in _steps(store, task.plan)}
        if unknown := [str(one) for one in after if one not in others or one == number]:
            raise RefusedError(f"task {', '.join(unknown)} is no other step of plan {task.plan}")
        waits = {one.id: one.after for one in others.values()} | {number: after}
        if _leads_to(waits, number):
            raise RefusedError("these steps would wait for each other")
        return store.note(
            number, "note", "changed", by, prompt=prompt, wish=wish, after=tuple(sorted(set(after)))
        )


def drop_step(store: Store, number: int, by: str) -> Task:
    """A step is cancelled, and what came after it does not wait for it."""
    with store.whole():
        task = _step_under_review(store, number)
        for one in _steps(store, task.plan):
            if number in one.after:
                store.set(one.id, after=tuple(key for key in one.after if key != number))
        return store.change(number, State.CANCELLED, "taken out of the plan", by)


def settle_plan(store: Store, number: int, to: PlanState, steps: State, by: str) -> Plan:
    """A plan under review is approved or discarded."""
    with store.whole():
        plan = store.records.plan(number)
        if plan.state is not PlanState.REVIEW:
            raise RefusedError(f"plan {number} is {plan.state.value}, not under review")
        drafts = store.tasks((State.DRAFT,), plan=number, most=1_000)
        if to is PlanState.APPROVED and not drafts:
            raise RefusedError(f"plan {number} has no steps left")
        for task in reversed(drafts):
            store.change(task.id, steps, "", by)
        return store.records.set_plan(number, to)


def _step_under_review(store: Store, number: int) -> Task:
    task = store.task(number)
    if not task.plan or task.state is not State.DRAFT:
        raise RefusedError(f"task {number} is no step of a plan under review")
    return task


def _steps(store: Store, plan: int) -> tuple[Task, ...]:
    return store.tasks((State.DRAFT,), plan=plan, most=1_000)


def _leads_to(waits: dict[int, tuple[int, ...]], number: int) -> bool:
    """Whether a step waits, over others, for itself."""
    seen, ahead = set[int](), list(waits.get(number, ()))
    while ahead:
        one = ahead.pop()
        if one == number:
            return True
        if one not in seen:
            seen.add(one)
            ahead += waits.get(one, ())
    return False
