"""A desk that keeps everything in memory: nine hosts, tasks in every state, plans, money, nodes.

`MemoryDesk(hostile=True)` is the same with an attack in every text that comes from outside.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.bus import Bus
from orchestrator.config import Config
from orchestrator.desk import News, RefusedError, UnknownError
from orchestrator.health.model import Item, Verdict
from orchestrator.health.report import Report
from orchestrator.registry.model import (
    Agent,
    AgentHost,
    Budgets,
    Cluster,
    Condition,
    Day,
    Money,
    Node,
    Purse,
    Stranger,
)
from orchestrator.tasks.model import (
    FOLLOWS,
    OPEN,
    Attachment,
    Audit,
    Choice,
    Code,
    Counts,
    Draft,
    Event,
    Message,
    Patch,
    Plan,
    PlanState,
    State,
    Task,
    Wish,
)
from orchestrator.tasks.placement import Situation, choose

USD = 1_000_000
ALICE = "alice"
LOGIN = "alice@example.com"
NAMES = ("boss", "boss.tail.example", "100.64.0.1", "localhost", "127.0.0.1")
# Ends what it may stand in (attribute, script, style, textarea, title, comment, a line of SSE or of
# the journal), and makes an element with a name that nothing else has. Half a surrogate cannot be
# encoded: an agent can say it in JSON.
ATTACK = (
    '"\'`--></textarea></title></script></style>]]><xss-was-here onload=xss() x="&lt;{{7*7}}'
    "\x1b[31m\u202e\r\n\r\ndata: xss\nevent: xss\x00\ud800"
)
HOSTS = (
    AgentHost("boss", "orchestrator", "arch", "x86_64", "always-on", "http://b", False, True, "i7"),
    AgentHost("mini", "headless-mac", "macos", "x86_64", "always-on", "http://m", True, False),
    AgentHost("imac", "headless-mac", "macos", "x86_64", "always-on", "http://i", True, False),
    AgentHost("book", "workstation-mac", "macos", "x86_64", "roams", "", False, False, "MacBook"),
    AgentHost("rpi1", "pi", "raspios", "aarch64", "always-on", "http://1", True, True, "Pi 4"),
    AgentHost("rpi2", "pi", "raspios", "aarch64", "always-on", "http://2", True, True, "Pi 4"),
    AgentHost("rpi3", "pi", "raspios", "aarch64", "always-on", "http://3", True, True, "Pi 5"),
    AgentHost("tower", "windows-wsl", "debian", "x86_64", "sleeps", "http://t", True, True),
    AgentHost("laptop", "windows-wsl", "debian", "x86_64", "roams", "http://l", True, True),
)
DIFFERENCE = """\
diff --git a/src/clock.py b/src/clock.py
index 0123456..789abcd 100644
--- a/src/clock.py
+++ b/src/clock.py
@@ -1,4 +1,5 @@
 import time
-def now(): return time.time()
+def now() -> float:
+    return time.time()

 # the end
"""
HOUR = 3600.0


def config(folder: Path, **differing: Any) -> Config:
    """As deploys/orchestrator.py would render it; the files are in `folder`."""
    known: dict[str, Any] = {
        "listen": "100.64.0.1",
        "port": 8080,
        "names": NAMES,
        "database": folder / "tasks.sqlite",
        "token": folder / "token",
        "socket": folder / "api.sock",
        "gateway": folder / "gateway.sock",
        "gateway_url": "http://100.64.0.1:8082",
        "quarantine": folder / "quarantine.sock",
        "reached": folder / "agents.json",
        "scheduler": "100.64.0.1",
        "console": 8766,
        "tailscale": (str(folder / "tailscale"),),
        "claude": "/usr/local/bin/claude",
        "planner": "boss",
        "plan_cap": 1 * USD,
        "operators": {LOGIN: ALICE, "bob@example.com": "bob"},
        "agents": HOSTS,
        "off": frozenset({"book", "laptop"}),
        "places": {f"100.64.0.{number}": one.name for number, one in enumerate(HOSTS, 1)},
        "workers": frozenset({"boss", "rpi1", "rpi2", "rpi3"}),
    }
    return Config(**(known | differing))


class MemoryDesk:
    """See orchestrator/desk.py, whose Desk this is: nothing happens in it by itself."""

    def __init__(self, *, hostile: bool = False, empty: bool = False) -> None:
        self.now = time.time()
        self._attack = ATTACK if hostile else ""
        self.bus = Bus()
        self._agents = {one.host.name: one for one in self._some_agents()}
        self._budgets, self._cluster = self._some_money(), self._some_nodes()
        self._strangers: tuple[Stranger, ...] = (
            Stranger("100.64.0.77", self._text("kitchen-pc"), self.now - 5 * HOUR),
            Stranger("fd7a:115c:a1e0::77", self._text("?"), self.now - 60),
        )
        self._report: Report | None = self._some_health()
        self._tasks = {one.id: one for one in self._some_tasks()}
        self._plans = {one.id: one for one in self._some_plans()}
        self._messages = {3: self._some_messages(), 4: self._some_messages()}
        self._events: dict[int, list[Event]] = {}
        self._patches = {4: self._some_patch()}
        self._audits: list[Audit] = []
        self._files: dict[str, bytes] = {}
        self.said: list[tuple[str, str, str, bool]] = []  # host, text, by, raw
        for task in self._tasks.values():
            self._happened(task, "note", self._text("asked for"), ALICE)
        self._note("task.send", self._text("task 1"))
        self._note("agent.kill", self._text("imac"))
        if empty:
            self._agents, self._strangers, self._cluster = {}, (), Cluster()
            self._report = None
            self._budgets = Budgets({})
            self._tasks, self._plans, self._audits = {}, {}, []

    def _text(self, text: str) -> str:
        """Text from outside."""
        return text + self._attack

    # what is in it at the beginning

    def _some_agents(self) -> list[Agent]:
        conditions = {
            "boss": (Condition.IDLE, "", 0),
            "mini": (Condition.WORKING, "", 3),
            "imac": (Condition.OVER_BUDGET, "this session has spent $10.00 of $10.00", 0),
            "book": (Condition.OFF, "", 0),
            "rpi1": (Condition.IDLE, "", 0),
            "rpi2": (Condition.STUCK, "Do you trust the files in this folder?", 0),
            "rpi3": (Condition.LOGGED_OUT, "Please run /login", 0),
            "tower": (Condition.ASLEEP, "does not answer", 0),
            "laptop": (Condition.UNREACHABLE, "connection refused", 0),
        }
        money = {host.name: self._some_purse(host.name) for host in HOSTS}
        return [
            Agent(
                host,
                conditions[host.name][0],
                self.now - 60 * (number + 1) ** 3,
                self._text(conditions[host.name][1]),
                money[host.name],
                conditions[host.name][2],
            )
            for number, host in enumerate(HOSTS)
        ]

    def _some_purse(self, name: str) -> Money:
        spent = {"mini": 8 * USD, "imac": 10 * USD}.get(name, 420_000)
        refused = self._text("the session is spent") if name == "imac" else ""
        near, cap = spent >= 8 * USD, 10 * USD
        return Money(self._text("s-12"), Purse(spent, cap), Purse(spent, 30 * USD), near, refused)

    def _some_money(self) -> Budgets:
        days = tuple(
            Day(f"2026-02-{day:02}", day * USD, {"mini": day * USD // 2, "rpi1": day * USD // 2})
            for day in range(14, 0, -1)
        )
        hosts = {host.name: self._some_purse(host.name) for host in HOSTS}
        return Budgets(hosts, Purse(42 * USD, 100 * USD), days, self._attack)

    def _some_nodes(self) -> Cluster:
        nodes = (
            Node(self._text("boss"), "100.64.0.1", self._text("x86_64"), 3, 8, 400),
            Node(self._text("rpi1"), "100.64.0.5", self._text("aarch64"), 0, 4, 12),
            Node(self._text("evil"), "100.64.0.99", self._text("x86_64"), 0, 64, 0, known=False),
        )
        jobs = (self._text("job 17 COMP sub:boss on:rpi1 main.cpp"),)
        blocked = {"rpi3": self._text("boss reported a wrong object")}
        return Cluster(nodes, jobs, ("rpi2", "rpi3"), blocked, self._attack)

    def _some_health(self) -> Report:
        """The latest round is long ago."""
        items = (
            Item("reached", "boss", Verdict.OK, self._text("it answers")),
            Item(
                self._text("service iceccd"), "rpi1", Verdict.FAILED, self._text("it does not run")
            ),
            Item("disk", "rpi2", Verdict.WARNING, "91 % of / is used", self._text("make room")),
            Item("reached", "tower", Verdict.PENDING, self._text("it is off, which it may be")),
            Item("node", "rpi3", Verdict.UNKNOWN, "see service iceccd"),
            Item("scheduler", "", Verdict.OK, "9 nodes"),
        )
        undelivered = {"alert_ntfy": self._text("it answers 403")}
        return Report(300, self.now - 5 * HOUR, items, undelivered, self._attack)

    def _some_tasks(self) -> list[Task]:
        code = Code("c" * 64, "0123456789abcdef" * 2 + "01234567", "main", "clock")
        code = replace(code, ref=self._text(code.ref), name=self._text(code.name))
        notes = (Attachment(self._text("notes.txt"), "a" * 64, 1234),)
        mini = {"host": "mini", "session": "s-12", "run": "r1", "sent": self.now - 60}
        pi = {"host": "rpi1", "session": "s-9", "run": "r2", "sent": self.now - 5 * HOUR}
        done = {**pi, "ended": self.now - 4 * HOUR, "cost": 420_000}
        return [
            self._task(1, State.QUEUED, reason=self._text("waits: rpi2 is stuck"), cap=2 * USD),
            self._task(2, State.RESERVED, host="rpi1", why=self._text("rpi1: idle")),
            self._task(3, State.RUNNING, **mini, cost=1_310_000, attachments=notes),
            self._task(4, State.DONE, **done, code=code, why=self._text("rpi1: idle, always on")),
            self._task(5, State.FAILED, **done, reason=self._text("the agent gave up"), attempt=2),
            self._task(6, State.CANCELLED, reason=self._text(f"cancelled by {ALICE}")),
            self._task(7, State.LOST, **pi, reason=self._text("rpi1 went away while it worked")),
            self._task(8, State.DRAFT, plan=1, step=self._text("build")),
            self._task(9, State.DRAFT, plan=1, step=self._text("test"), after=(8,)),
        ]

    def _task(self, number: int, state: State, **more: Any) -> Task:
        words = f"Tidy the house, part {number}"
        created = self.now - (10 - number) * HOUR
        return Task(
            number,
            self._text(words),
            self._text(f"{words}\n\nAnd say what you did."),
            Wish(host="rpi1" if number % 2 else "", arch="aarch64" if number == 4 else ""),
            state,
            self._text(ALICE),
            created,
            changed=created + 90,
            **more,
        )

    def _some_plans(self) -> list[Plan]:
        goal, by = self._text("Build the clock and test it"), self._text(ALICE)
        return [
            Plan(1, goal, PlanState.REVIEW, by, self.now - 300, cost=120_000),
            Plan(2, goal, PlanState.THINKING, by, self.now - 20, at_once=True),
            Plan(3, goal, PlanState.FAILED, by, self.now - HOUR, reason=self._text("no JSON")),
            Plan(4, goal, PlanState.DISCARDED, by, self.now - 2 * HOUR),
            Plan(5, goal, PlanState.APPROVED, by, self.now - 3 * HOUR),
        ]

    def _some_messages(self) -> list[Message]:
        at = self.now - 50
        return [
            Message(1, "user", self._text("Tidy the house."), at),
            Message(2, "agent", self._text("● I look around.\n  ⎿ Bash(ls)\n     a  b"), at + 5),
        ]

    def _some_patch(self) -> Patch:
        text = DIFFERENCE.replace("# the end", self._text("# the end"))
        return Patch(1, "0123456789abcdef" * 2 + "01234567", text, 1, 1)

    # agents

    def agents(self) -> tuple[Agent, ...]:
        return tuple(self._agents.values())

    def strangers(self) -> tuple[Stranger, ...]:
        return self._strangers

    async def conversation(self, host: str) -> tuple[Message, ...]:
        self._agent(host)
        return tuple(self._messages[3]) if host == "mini" else ()

    async def say(self, host: str, text: str, by: str, *, raw: bool = False) -> None:
        if self._agent(host).task:
            raise RefusedError(f"task {self._agent(host).task} is on {host}: cancel it first")
        self.said.append((host, text, by, raw))

    async def new_session(self, host: str, by: str) -> str:
        if self._agent(host).task:
            raise RefusedError(f"task {self._agent(host).task} is on {host}: cancel it first")
        self._be(host, Condition.IDLE)
        return "s-13"

    async def kill(self, hosts: Sequence[str], by: str) -> tuple[str, ...]:
        hit = tuple(hosts) or tuple(self._agents)
        for host in hit:
            self._agent(host)
        for host in hit:
            self._be(host, Condition.OVER_BUDGET)
        return hit

    async def drain(self, host: str, by: str) -> None:
        self._agent(host)

    async def give_up(self, host: str, by: str) -> tuple[int, ...]:
        self._agent(host)
        there = [one.id for one in self._tasks.values() if one.host == host and one.is_open]
        for number in there:
            self.become(number, State.LOST)
        return tuple(there)

    def budgets(self) -> Budgets:
        return self._budgets

    def cluster(self) -> Cluster:
        return self._cluster

    def health(self) -> Report | None:
        return self._report

    def unwatched(self) -> str:
        return self._report.silence(self.now) if self._report else ""

    def _agent(self, host: str) -> Agent:
        try:
            return self._agents[host]
        except KeyError:
            raise UnknownError(f"there is no agent on {host}") from None

    def _be(self, host: str, condition: Condition) -> None:
        self._agents[host] = replace(self._agent(host), condition=condition, since=time.time())
        self.bus.tell(News("agents", host))

    # tasks

    async def tasks(
        self, states: Sequence[State] = (), *, before: int = 0, most: int = 50, plan: int = 0
    ) -> tuple[Task, ...]:
        found = [
            one
            for one in sorted(self._tasks.values(), key=lambda one: -one.id)
            if (not states or one.state in states)
            and (not before or one.id < before)
            and (not plan or one.plan == plan)
        ]
        return tuple(found[:most])

    async def counts(self) -> Counts:
        states = [one.state for one in self._tasks.values()]
        return Counts({state: states.count(state) for state in State if state in states})

    async def task(self, number: int) -> Task:
        try:
            return self._tasks[number]
        except KeyError:
            raise UnknownError(f"there is no task {number}") from None

    async def events(self, number: int) -> tuple[Event, ...]:
        await self.task(number)
        return tuple(self._events.get(number, ()))

    async def messages(self, number: int, attempt: int = 0) -> tuple[Message, ...]:
        await self.task(number)
        return tuple(self._messages.get(number, ()))

    async def patch(self, number: int, attempt: int = 0) -> Patch | None:
        await self.task(number)
        return self._patches.get(number)

    def choose(self, wish: Wish, cap: int | None = None) -> Choice:
        going = [one for one in self._tasks.values() if one.state in OPEN]
        now = Situation.of(self.agents(), self.budgets(), going, {})
        return choose(wish, cap, now)

    async def keep(self, name: str, content: bytes) -> Attachment:
        if not name or "/" in name or not name.isprintable() or name in {".", ".."}:
            raise RefusedError("a file has a name without slashes and control characters")
        kept = Attachment(name, hashlib.sha256(content).hexdigest(), len(content))
        self._files[kept.sha256] = content
        return kept

    async def send(self, draft: Draft, by: str) -> Task:
        if not draft.prompt.strip():
            raise RefusedError("a prompt has 1 to 200000 characters")
        wanted = {one.sha256 for one in draft.attachments}
        wanted |= {draft.code.bundle} if draft.code else set()
        if not wanted <= self._files.keys():
            raise UnknownError("there is no one of its files")
        number = max(self._tasks, default=0) + 1
        title = draft.title or draft.prompt.strip().splitlines()[0]
        task = Task(
            *(number, title, draft.prompt, draft.wish, State.QUEUED, by, time.time(), draft.cap),
            attachments=draft.attachments,
            code=draft.code,
            retries=draft.retries,
            changed=time.time(),
        )
        return self._put(task, by)

    async def cancel(self, number: int, by: str) -> Task:
        return self._put(self._moved(await self.task(number), State.CANCELLED), by)

    async def retry(self, number: int, by: str) -> Task:
        task = self._moved(await self.task(number), State.QUEUED)
        return self._put(replace(task, attempt=task.attempt + 1), by)

    async def settle(self, number: int, by: str) -> Task:
        task = await self.task(number)
        if task.state is not State.LOST:
            raise RefusedError(f"task {number} is {task.state}, not lost")
        return self._put(self._moved(task, State.DONE), by)

    def _moved(self, task: Task, state: State) -> Task:
        if state not in FOLLOWS[task.state]:
            raise RefusedError(f"task {task.id} is {task.state}, so it cannot become {state}")
        return replace(task, state=state, changed=time.time())

    def _put(self, task: Task, by: str = "") -> Task:
        self._tasks[task.id] = task
        self._happened(task, task.state.value, "", by)
        self.bus.tell(News("tasks", str(task.id)))
        if task.plan:
            self.bus.tell(News("plans", str(task.plan)))
        return task

    def _happened(self, task: Task, kind: str, text: str, by: str) -> None:
        said = self._events.setdefault(task.id, [])
        said.append(Event(time.time(), kind, text, by, len(said) + 1))

    def become(self, number: int, state: State, **more: Any) -> Task:
        """A task's state changes by itself."""
        return self._put(replace(self._tasks[number], state=state, **more))

    def speak(self, number: int, text: str) -> None:
        """The agent says more in its last message of a task."""
        said = self._messages.setdefault(number, [])
        if said and said[-1].role == "agent":
            said[-1] = replace(said[-1], content=said[-1].content + text)
        else:
            said.append(Message(len(said) + 1, "agent", text, time.time()))
        self.bus.tell(News("messages", str(number)))

    # plans

    async def plans(self, *, before: int = 0, most: int = 50) -> tuple[Plan, ...]:
        found = sorted(self._plans.values(), key=lambda one: -one.id)
        return tuple(one for one in found if not before or one.id < before)[:most]

    async def plan(self, number: int) -> Plan:
        try:
            return self._plans[number]
        except KeyError:
            raise UnknownError(f"there is no plan {number}") from None

    async def think(self, goal: str, by: str, *, at_once: bool = False) -> Plan:
        if not goal.strip():
            raise RefusedError("a plan has a goal")
        number = max(self._plans, default=0) + 1
        plan = Plan(number, goal, PlanState.THINKING, by, time.time(), at_once)
        return self._put_plan(plan)

    async def change(
        self, number: int, prompt: str, wish: Wish, after: Sequence[int], by: str
    ) -> Task:
        task = await self._step(number)
        if number in after:
            raise RefusedError("a step cannot wait for itself")
        return self._put(replace(task, prompt=prompt, wish=wish, after=tuple(after)), by)

    async def drop(self, number: int, by: str) -> None:
        task = await self._step(number)
        self._put(self._moved(task, State.CANCELLED), by)

    async def approve(self, plan: int, by: str) -> Plan:
        found = await self._under_review(plan)
        for task in await self.tasks([State.DRAFT], plan=plan):
            self._put(self._moved(task, State.QUEUED), by)
        return self._put_plan(replace(found, state=PlanState.APPROVED))

    async def discard(self, plan: int, by: str) -> Plan:
        found = await self._under_review(plan)
        for task in await self.tasks([State.DRAFT], plan=plan):
            self._put(self._moved(task, State.CANCELLED), by)
        return self._put_plan(replace(found, state=PlanState.DISCARDED))

    async def _under_review(self, number: int) -> Plan:
        plan = await self.plan(number)
        if plan.state is not PlanState.REVIEW:
            raise RefusedError(f"plan {number} is {plan.state}")
        return plan

    async def _step(self, number: int) -> Task:
        task = await self.task(number)
        if task.state is not State.DRAFT:
            raise RefusedError(f"task {number} is {task.state}: it is no step under review")
        await self._under_review(task.plan)
        return task

    def _put_plan(self, plan: Plan) -> Plan:
        self._plans[plan.id] = plan
        self.bus.tell(News("plans", str(plan.id)))
        return plan

    # what happened

    async def audit(self, entry: Audit) -> None:
        self._audits.append(replace(entry, number=len(self._audits) + 1))

    async def audits(self, *, before: int = 0, most: int = 100) -> tuple[Audit, ...]:
        found = reversed(self._audits)
        return tuple(one for one in found if not before or one.number < before)[:most]

    def news(self) -> AbstractAsyncContextManager[AsyncIterator[News]]:
        return self.bus.listen()

    def _note(self, action: str, what: str) -> None:
        who, where = self._text(ALICE), self._text("100.64.0.20")
        self._audits.append(Audit(self.now - HOUR, who, where, action, what, len(self._audits) + 1))
