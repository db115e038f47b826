"""What is known of an agent, of its money, and of the compile cluster. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """How an agent is. Only an IDLE one gets a task."""

    UNKNOWN = "unknown"  # it was not asked yet
    IDLE = "idle"
    WORKING = "working"
    ASLEEP = "asleep"  # does not answer, and may be off
    UNREACHABLE = "unreachable"  # does not answer, and should
    LOGGED_OUT = "logged-out"  # Claude Code there wants somebody to log in, or no key fits
    STUCK = "stuck"  # in a dialog that nobody answers
    OVER_BUDGET = "over-budget"
    OFF = "off"  # fleet.yaml has it off


@dataclass(frozen=True)
class AgentHost:
    """What fleet.yaml says of a host with an agent."""

    name: str
    role: str
    os: str
    arch: str
    power: str  # always-on, sleeps, roams
    url: str  # of its AgentAPI; empty: its address is not known yet
    root: bool  # whether the agent may become root, without a list of commands
    compilers: bool
    hardware: str = ""

    @property
    def may_sleep(self) -> bool:
        """Whether not answering is no fault."""
        return self.power != "always-on"


@dataclass(frozen=True)
class Purse:
    """What was spent of a limit, in micro-dollars; a `cap` of None is none."""

    spent: int = 0
    cap: int | None = None

    @property
    def left(self) -> int | None:
        """What may still be spent; None: any amount."""
        return None if self.cap is None else max(0, self.cap - self.spent)

    @property
    def percent(self) -> int | None:
        """How much of the cap is spent; None without one."""
        return None if self.cap is None else min(999, self.spent * 100 // max(1, self.cap))


@dataclass(frozen=True)
class Money:
    """A host's purses as the gateway has them."""

    session: str = ""  # the name of the session that counts; empty: none
    of_session: Purse = Purse()
    of_day: Purse = Purse()
    near: bool = False  # at 80 % of one of them, or more
    refused: str = ""  # why it may spend nothing now; empty: it may


@dataclass(frozen=True)
class Day:
    """What was spent on one day, by host."""

    day: str  # YYYY-MM-DD
    spent: int
    hosts: Mapping[str, int]


@dataclass(frozen=True)
class Budgets:
    """All that the gateway tells of money. `fault`: why it tells nothing, and this is old."""

    hosts: Mapping[str, Money]
    fleet: Purse = Purse()
    days: tuple[Day, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class Agent:
    """One agent, as it is now. `since` is when the condition began, `task` the one it works on."""

    host: AgentHost
    condition: Condition = Condition.UNKNOWN
    since: float = 0
    said: str = ""  # in words, what is the matter
    money: Money = Money()
    task: int = 0


@dataclass(frozen=True)
class Stranger:
    """An AgentAPI in the tailnet that fleet.yaml does not know: shown, and given no work."""

    address: str
    name: str  # as the tailnet calls the machine; hostile text
    seen: float


@dataclass(frozen=True)
class Node:
    """One daemon of the compile cluster, as the scheduler lists it."""

    name: str
    address: str
    platform: str
    jobs: int
    max_jobs: int
    load: int = 0
    known: bool = True  # whether it is a host of the fleet, at its address


@dataclass(frozen=True)
class Cluster:
    """The compile cluster. `fault`: why nothing is known. `blocked`: worker → why, as reported."""

    nodes: tuple[Node, ...] = ()
    jobs: tuple[str, ...] = ()  # a line each, as the scheduler describes them
    missing: tuple[str, ...] = ()  # workers of fleet.yaml that it does not have
    blocked: Mapping[str, str] | None = None
    fault: str = ""
