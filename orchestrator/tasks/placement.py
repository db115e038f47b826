"""Where a task runs, and why. Pure: the same fleet in the same state gives the same answer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from orchestrator.gateway.money import shown
from orchestrator.registry.model import Agent, AgentHost, Budgets, Condition, Money, Purse
from orchestrator.tasks.model import Choice, State, Task, Verdict, Wish

# Another host may do what these hosts were preferred for; one that works will be free some day.
AWAY = frozenset(
    {
        Condition.ASLEEP,
        Condition.UNREACHABLE,
        Condition.LOGGED_OUT,
        Condition.STUCK,
        Condition.OVER_BUDGET,
        Condition.OFF,
    }
)
_WORDS = {
    Condition.UNKNOWN: "was not asked yet",
    Condition.WORKING: "works on something that is no task",
    Condition.ASLEEP: "sleeps",
    Condition.UNREACHABLE: "does not answer",
    Condition.LOGGED_OUT: "is logged out",
    Condition.STUCK: "is stuck in a dialog",
    Condition.OVER_BUDGET: "has spent its money",
    Condition.OFF: "is off in fleet.yaml",
}
_POWER = {"always-on": "always on", "sleeps": "may sleep", "roams": "roams"}
_NAMED = 3  # hosts in a sentence about why a task waits


@dataclass(frozen=True)
class Situation:
    """All that a choice depends on.

    `held` is host → who took its money away; `shunned` is host → why it is not asked again yet.
    """

    agents: Sequence[Agent]
    budgets: Budgets
    tasks: Mapping[str, Task] = field(default_factory=dict)  # by host, those that have one
    held: Mapping[str, str] = field(default_factory=dict)
    shunned: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        agents: Sequence[Agent],
        budgets: Budgets,
        tasks: Iterable[Task],
        held: Mapping[str, str],
        shunned: Mapping[str, str] = MappingProxyType({}),
    ) -> Situation:
        """From the tasks in progress."""
        having = {one.host: one for one in tasks if one.host and one.state is not State.QUEUED}
        return cls(agents, budgets, having, held, shunned)

    @property
    def promised(self) -> int:
        """What the tasks that have a host may still spend."""
        return sum(
            max(0, one.cap - spent_on(one, self.budgets))
            for one in self.tasks.values()
            if one.cap is not None
        )


def spent_on(task: Task, budgets: Budgets) -> int:
    """What the present attempt has spent, as far as the gateway tells."""
    money = budgets.hosts.get(task.host)
    return money.of_session.spent if money and money.session == task.session != "" else 0


def choose(wish: Wish, cap: int | None, now: Situation) -> Choice:
    """The host for a task with this wish, or what it waits for."""
    never = {one.host.name: never_fits(wish, cap, one, now.budgets) for one in now.agents}
    preferred = next((one for one in now.agents if one.host.name == wish.host), None)
    verdicts, fitting = [], list[Agent]()
    for agent in now.agents:
        name = agent.host.name
        reason = never[name] or _not_chosen(wish, agent, preferred, now)
        reason = reason or _not_now(agent, cap, now)
        verdicts.append(Verdict(name, not reason, reason or _strong_points(agent, now.budgets)))
        if not reason:
            fitting.append(agent)
    if fitting:
        order = {one.host.name: number for number, one in enumerate(now.agents)}
        best = min(fitting, key=lambda one: _rank(one, wish, now.budgets, order[one.host.name]))
        return Choice(best.host.name, _why(best, preferred, now), tuple(verdicts))
    if all(never.values()):
        return Choice("", _hopeless(wish, verdicts), tuple(verdicts), hopeless=True)
    waits = [one for one in verdicts if not never[one.host]]
    return Choice("", _waiting(waits), tuple(verdicts))


def never_fits(wish: Wish, cap: int | None, agent: Agent, budgets: Budgets) -> str:
    """Why a host could never do it, as the fleet is; empty: it could."""
    host = agent.host
    if wish.host and not wish.failover and host.name != wish.host:
        return "is not the host that was asked for"
    for wanted, there in ((wish.role, host.role), (wish.arch, host.arch), (wish.os, host.os)):
        if wanted and wanted != there:
            return f"is {there}, not {wanted}"
    if wish.root and not host.root:
        return "has an agent that may not become root"
    if wish.compilers and not host.compilers:
        return "has none of the fleet's compilers"
    if agent.condition is Condition.OFF:
        return _WORDS[Condition.OFF]
    if wish.host not in {"", host.name} and host.may_sleep:
        return "is not always on, so it stands in for nobody"
    for purse, whose in (
        (_money(host, budgets).of_day, "may"),
        (budgets.fleet, "is in a fleet that may"),
    ):
        if cap is not None and purse.cap is not None and cap > purse.cap:
            return f"{whose} spend {shown(purse.cap)} a day, not {shown(cap)}"
    return ""


def _not_chosen(wish: Wish, agent: Agent, preferred: Agent | None, now: Situation) -> str:
    """Why another host is not asked while the preferred one may do it."""
    if preferred is None or agent is preferred:
        return ""
    if preferred.condition in AWAY and not _can_begin(preferred, now.budgets):
        return ""
    if preferred.host.name in {*now.held, *now.shunned} or never_fits(
        wish, None, preferred, now.budgets
    ):
        return ""
    return f"is not asked: {preferred.host.name} is preferred, and up"


def _not_now(agent: Agent, cap: int | None, now: Situation) -> str:
    name = agent.host.name
    if (task := now.tasks.get(name)) is not None:
        if task.state is State.LOST:
            return f"has task {task.id}, which was lost there and may come back"
        return f"works on task {task.id}"
    if name in now.held:
        return f"was stopped by {now.held[name]}: it waits for a new session"
    if name in now.shunned:
        return now.shunned[name]
    if agent.condition is not Condition.IDLE and not _can_begin(agent, now.budgets):
        return _state(agent)
    return _no_money(_money(agent.host, now.budgets).of_day, "today", cap, 0) or _no_money(
        now.budgets.fleet, "today for the whole fleet", cap, now.promised
    )


def _can_begin(agent: Agent, budgets: Budgets) -> bool:
    """Whether only the money of its last session is spent: a task has a session of its own."""
    money = _money(agent.host, budgets)
    days = (money.of_day.left, budgets.fleet.left)
    spent = money.of_session.left == 0
    return agent.condition is Condition.OVER_BUDGET and spent and 0 not in days


def _no_money(purse: Purse, whose: str, cap: int | None, promised: int) -> str:
    if purse.left is None:
        return ""
    left = max(0, purse.left - promised)
    if left == 0 or left < (cap or 0):
        wanted = f", and the task may need {shown(cap)}" if cap and left else ""
        return f"has {_down(left)} left {whose}{wanted}"
    return ""


def _rank(agent: Agent, wish: Wish, budgets: Budgets, order: int) -> tuple[bool, bool, int, int]:
    """The smaller the better: preferred, always on, most money left, first in fleet.yaml."""
    left = _money(agent.host, budgets).of_day.left
    money = -left if left is not None else -(1 << 62)
    return agent.host.name != wish.host, agent.host.may_sleep, money, order


def _why(best: Agent, preferred: Agent | None, now: Situation) -> str:
    why = f"{best.host.name}: {_strong_points(best, now.budgets)}"
    if preferred is None or best is preferred:
        return why
    if preferred.host.name in now.held:
        return f"{why}; preferred {preferred.host.name} was stopped"
    if preferred.host.name in now.shunned:
        return f"{why}; preferred {preferred.host.name} {now.shunned[preferred.host.name]}"
    if preferred.condition in AWAY:
        return f"{why}; preferred {preferred.host.name} {_state(preferred)}"
    return f"{why}; {preferred.host.name} is preferred, and cannot do it"


def _strong_points(agent: Agent, budgets: Budgets) -> str:
    condition = "idle" if agent.condition is Condition.IDLE else "free for a new session"
    points = [condition, _POWER.get(agent.host.power, agent.host.power)]
    left = _money(agent.host, budgets).of_day.left
    return ", ".join([*points, *([f"{_down(left)} left"] if left is not None else [])])


def _state(agent: Agent) -> str:
    words = _WORDS.get(agent.condition, agent.condition.value)
    return f"{words} since {moment(agent.since)}" if agent.since else words


def _waiting(verdicts: Sequence[Verdict]) -> str:
    said = [
        f"{one.host} {one.reason}" for one in verdicts if not one.reason.startswith("is not asked")
    ]
    more = f"; and {len(said) - _NAMED} more" if len(said) > _NAMED else ""
    return f"waits: {'; '.join(said[:_NAMED])}{more}"


def _hopeless(wish: Wish, verdicts: Sequence[Verdict]) -> str:
    if wish.host and wish.host not in {one.host for one in verdicts}:
        return f"there is no agent on {wish.host}"
    if wish.host and not wish.failover:
        reason = next(one.reason for one in verdicts if one.host == wish.host)
        return f"{wish.host} cannot do it: it {reason}"
    said = "; ".join(f"{one.host} {one.reason}" for one in verdicts)
    return f"no host of the fleet can do it: {said or 'it has no agents'}"


def _money(host: AgentHost, budgets: Budgets) -> Money:
    return budgets.hosts.get(host.name, Money())


def _down(amount: int) -> str:
    """What is left is rounded down: a cent that is not there helps nobody."""
    return shown(amount - amount % 10_000)


def moment(at: float) -> str:
    """A moment for people, on this machine's clock: with its day if that was not today."""
    then = time.localtime(at)
    today = time.strftime("%Y-%m-%d", then) == time.strftime("%Y-%m-%d")
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)
