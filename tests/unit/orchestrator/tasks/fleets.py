"""A fleet for tests: hosts as fleet.yaml would describe them, and their agents and money."""

from __future__ import annotations

from typing import Any

from orchestrator.registry.model import Agent, AgentHost, Budgets, Condition, Money, Purse

USD = 1_000_000
HOSTS = (
    AgentHost("rpi1", "pi", "debian", "aarch64", "always-on", "http://rpi1", False, True),
    AgentHost("rpi2", "pi", "debian", "aarch64", "always-on", "http://rpi2", True, True),
    AgentHost("mini", "headless-mac", "macos", "x86_64", "always-on", "http://mini", True, False),
    AgentHost("imac", "workstation-mac", "macos", "x86_64", "sleeps", "http://imac", False, False),
)


def agent(name: str, condition: Condition = Condition.IDLE, **more: Any) -> Agent:
    host = next(one for one in HOSTS if one.name == name)
    return Agent(host, condition, **more)


def fleet(**conditions: Condition) -> tuple[Agent, ...]:
    """All agents, idle but for those named."""
    return tuple(agent(one.name, conditions.get(one.name, Condition.IDLE)) for one in HOSTS)


def money(spent: int = 0, cap: int = 5 * USD, day: int = 0, daily: int | None = 15 * USD) -> Money:
    return Money("s-1", Purse(spent, cap), Purse(day, daily))


FLEET = Purse(0, 100 * USD)


def budgets(fleet: Purse = FLEET, **hosts: Money) -> Budgets:
    return Budgets({one.name: hosts.get(one.name, money()) for one in HOSTS}, fleet)
