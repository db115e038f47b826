"""What the API can do, one function each. What they take was held to its schema before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from orchestrator.desk import Desk
from orchestrator.tasks.model import Plan, State, Task
from orchestrator.web import values
from orchestrator.web.audit import note, person

MOST_FILE = 32 << 20  # bytes


@dataclass(frozen=True)
class Call:
    """One request: `path` and `query` are numbers and words that were checked."""

    request: Request
    desk: Desk
    path: Mapping[str, Any]
    query: Mapping[str, Any]
    body: Any = None  # JSON
    raw: bytes = b""

    @property
    def by(self) -> str:
        """Who asks."""
        return person(self.request).name

    async def note(self, action: str, what: object = "") -> None:
        """Note that it was done."""
        await note(self.request, self.desk, action, str(what))


# agents


async def agents(call: Call) -> object:
    """All agents, and how they are."""
    return {"agents": call.desk.agents()}


async def strangers(call: Call) -> object:
    """AgentAPIs in the tailnet that fleet.yaml does not know."""
    return {"strangers": call.desk.strangers()}


async def conversation(call: Call) -> object:
    """What was said in an agent's session."""
    return {"messages": await call.desk.conversation(call.path["host"])}


async def say(call: Call) -> object:
    """Say something to an agent that works on no task, or press keys."""
    host, raw = call.path["host"], call.body.get("raw", False)
    await call.desk.say(host, values.clean(call.body["text"]), call.by, raw=raw)
    await call.note("say", f"{host}: {'keys' if raw else call.body['text']}")
    return {"ok": True}


async def new_session(call: Call) -> object:
    """Begin a new session of an agent."""
    host = call.path["host"]
    session = await call.desk.new_session(host, call.by)
    await call.note("new-session", f"{host} {session}")
    return {"session": session}


async def kill(call: Call) -> object:
    """Take the money away from these agents at once, or from all."""
    hit = await call.desk.kill(call.body.get("hosts", []), call.by)
    await call.note("kill", ", ".join(hit))
    return {"killed": hit}


async def drain(call: Call) -> object:
    """Give an agent no more tasks; what runs there goes on."""
    host = call.path["host"]
    await call.desk.drain(host, call.by)
    await call.note("drain", host)
    return {"ok": True}


async def give_up(call: Call) -> object:
    """Take an agent for gone: what it was told is lost, and paid no more."""
    host = call.path["host"]
    numbers = await call.desk.give_up(host, call.by)
    await call.note("give-up", f"{host}: {len(numbers)} tasks")
    return {"tasks": numbers}


async def budgets(call: Call) -> object:
    """What was spent, and may be."""
    return call.desk.budgets()


async def cluster(call: Call) -> object:
    """The compile cluster."""
    return call.desk.cluster()


async def health(call: Call) -> object:
    """What the monitoring found last; `silent` says why it finds nothing any more."""
    report = call.desk.health()
    return {
        "monitored": report is not None,
        "ended": report.ended if report else 0,
        "silent": call.desk.unwatched(),
        "items": [{"name": one.name, **values.plain(one)} for one in report.items]
        if report
        else [],
        "undelivered": report.undelivered if report else {},
    }


# tasks


async def tasks(call: Call) -> object:
    """Tasks, the newest first, and how many there are in which state."""
    states = [State(one) for one in call.query["state"]]
    found = await call.desk.tasks(
        states, before=call.query["before"], most=call.query["most"], plan=call.query["plan"]
    )
    return {"tasks": found, "counts": (await call.desk.counts()).by_state}


async def task(call: Call) -> object:
    """One task."""
    return await call.desk.task(call.path["number"])


async def events(call: Call) -> object:
    """What happened to a task."""
    return {"events": await call.desk.events(call.path["number"])}


async def messages(call: Call) -> object:
    """What was said in an attempt; the latest, where none is named."""
    found = await call.desk.messages(call.path["number"], call.query["attempt"])
    return {"messages": found}


async def patch(call: Call) -> object:
    """What a task changed in its code; nothing: {}."""
    found = await call.desk.patch(call.path["number"], call.query["attempt"])
    return found or {}


async def keep(call: Call) -> object:
    """Keep a file for a task that is sent afterwards: the body as it is."""
    kept = await call.desk.keep(call.query["name"], call.raw)
    await call.note("upload", f"{kept.name} {kept.sha256[:12]} {kept.size} bytes")
    return kept


async def choose(call: Call) -> object:
    """Where a task with this wish would run now, and why."""
    return call.desk.choose(values.wish(call.body.get("wish", {})), call.body.get("cap"))


async def send(call: Call) -> Task:
    """Send a task."""
    made = await call.desk.send(values.draft(call.body), call.by)
    await call.note("send", f"task {made.id}: {made.title}")
    return made


async def cancel(call: Call) -> object:
    """Stop a task."""
    return await _act(call, "cancel")


async def retry(call: Call) -> object:
    """Try again what failed, was cancelled or is lost."""
    return await _act(call, "retry")


async def settle(call: Call) -> object:
    """Say that a lost task is done after all."""
    return await _act(call, "settle")


async def _act(call: Call, action: str) -> object:
    number = call.path["number"]
    done = await getattr(call.desk, action)(number, call.by)
    await call.note(action, f"task {number}")
    return done


# plans


async def plans(call: Call) -> object:
    """Plans, the newest first."""
    found = await call.desk.plans(before=call.query["before"], most=call.query["most"])
    return {"plans": found}


async def plan(call: Call) -> object:
    """One plan and its steps."""
    number = call.path["number"]
    made = await call.desk.plan(number)
    return {"plan": made, "tasks": await call.desk.tasks(plan=number, most=200)}


async def think(call: Call) -> Plan:
    """Have a goal split into steps."""
    at_once = call.body.get("at_once", False)
    made = await call.desk.think(values.clean(call.body["goal"]), call.by, at_once=at_once)
    await call.note("think", f"plan {made.id}: {made.goal}")
    return made


async def change(call: Call) -> object:
    """Change a step of a plan under review."""
    number, said = call.path["number"], call.body
    text, after = values.clean(said["prompt"]), said.get("after", [])
    changed = await call.desk.change(
        number, text, values.wish(said.get("wish", {})), after, call.by
    )
    await call.note("change", f"task {number}")
    return changed


async def drop(call: Call) -> object:
    """Take a step out of a plan under review."""
    await call.desk.drop(call.path["number"], call.by)
    await call.note("drop", f"task {call.path['number']}")
    return {"ok": True}


async def approve(call: Call) -> object:
    """Queue all steps of a plan."""
    approved = await call.desk.approve(call.path["number"], call.by)
    await call.note("approve", f"plan {approved.id}")
    return approved


async def discard(call: Call) -> object:
    """Cancel all steps of a plan under review."""
    discarded = await call.desk.discard(call.path["number"], call.by)
    await call.note("discard", f"plan {discarded.id}")
    return discarded


# what happened


async def audits(call: Call) -> object:
    """What people did, the newest first."""
    found = await call.desk.audits(before=call.query["before"], most=call.query["most"])
    return {"audit": found}
