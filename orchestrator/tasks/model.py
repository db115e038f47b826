"""What a task is, what may become of it, and what a plan is. Plain values; money in micro-dollars,
moments in seconds of Unix time, 0 where there was none yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """Where a task is. What is in OPEN goes on by itself; the rest waits for people, or is over."""

    DRAFT = "draft"  # a step of a plan that nobody has approved yet
    QUEUED = "queued"  # waits for a host, for money, or for other tasks
    RESERVED = "reserved"  # has its host, whose session begins; the agent knows nothing of it yet
    RUNNING = "running"  # the agent was told
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"  # the agent was told, and nobody knows what became of it: a person decides


OPEN = frozenset({State.QUEUED, State.RESERVED, State.RUNNING})

# What may follow what. From LOST to RUNNING: its agent came back and still works on it. Back to
# QUEUED from RESERVED: nothing was said yet; from the others: a person wants it tried again. From
# QUEUED to LOST: it comes from a backup.
FOLLOWS: dict[State, frozenset[State]] = {
    State.DRAFT: frozenset({State.QUEUED, State.CANCELLED}),
    State.QUEUED: frozenset({State.RESERVED, State.FAILED, State.CANCELLED, State.LOST}),
    State.RESERVED: frozenset(
        {State.QUEUED, State.RUNNING, State.FAILED, State.CANCELLED, State.LOST}
    ),
    State.RUNNING: frozenset({State.DONE, State.FAILED, State.CANCELLED, State.LOST}),
    State.DONE: frozenset(),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset({State.QUEUED}),
    State.LOST: frozenset({State.RUNNING, State.DONE, State.QUEUED, State.CANCELLED}),
}


@dataclass(frozen=True)
class Wish:
    """Where a task may run. Empty fields want nothing.

    With `failover` a `host` is preferred: while it sleeps or is broken another one that is always
    on may do it. Without, the task waits for that host.
    """

    host: str = ""
    role: str = ""
    arch: str = ""
    os: str = ""
    root: bool = False  # an agent that may become root
    compilers: bool = False  # a host with the fleet's compilers
    failover: bool = True


@dataclass(frozen=True)
class Verdict:
    """What is thought of one host for a wish: `fits` now, or why not."""

    host: str
    fits: bool
    reason: str


@dataclass(frozen=True)
class Choice:
    """Where a task would run, and why: `host` is empty when it has to wait, `why` says for what.

    `hopeless`: no host of the fleet could ever do it.
    """

    host: str
    why: str
    verdicts: tuple[Verdict, ...] = ()
    hopeless: bool = False


@dataclass(frozen=True)
class Attachment:
    """A file that goes to the agent with the prompt. `sha256` finds its bytes in the store."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Code:
    """What a task works on: a git bundle in the store, and the commit in it to begin at."""

    bundle: str  # sha256
    commit: str  # 40 hex digits
    ref: str = ""  # the branch or tag that it was, for people
    name: str = ""  # of the repository, for people


@dataclass(frozen=True)
class Draft:
    """What somebody wants done: all that is needed to make a task."""

    prompt: str
    title: str = ""  # empty: made of the prompt's first line
    wish: Wish = Wish()
    cap: int | None = None  # what it may spend; None: what a session of its host may
    attachments: tuple[Attachment, ...] = ()
    code: Code | None = None
    retries: int = 0  # left of those that happen without asking, before anything was said


@dataclass(frozen=True)
class Task:
    """One task. `attempt` counts from 1; every attempt has a session and messages of its own."""

    id: int
    title: str
    prompt: str
    wish: Wish
    state: State
    by: str  # who asked for it
    created: float
    cap: int | None = None
    attachments: tuple[Attachment, ...] = ()
    code: Code | None = None
    plan: int = 0  # 0: none
    step: str = ""  # its name in the plan
    after: tuple[int, ...] = ()  # tasks that have to be done before
    attempt: int = 1
    host: str = ""
    why: str = ""  # why that host
    reason: str = ""  # why it waits, failed, is lost, or is being cancelled
    session: str = ""
    run: str = ""  # which run of the agent's process was told; another one knows nothing of it
    cancelling: bool = False
    cost: int = 0  # of all attempts, as far as is known
    changed: float = 0  # when the state last did
    sent: float = 0  # set before the agent is told: from then on it is never told again
    ended: float = 0
    retries: int = 0  # left of those that happen without asking
    floor: int = -1  # the last message that was there before the agent was told
    warned: int = 0  # the attempt in which it was said that the money comes to its end

    @property
    def is_open(self) -> bool:
        """Whether it goes on by itself."""
        return self.state in OPEN


@dataclass(frozen=True)
class Message:
    """Something said in an attempt. `number` is AgentAPI's; what an agent says grows in place."""

    number: int
    role: str  # user or agent
    content: str  # hostile text, like everything that an agent says
    at: float


@dataclass(frozen=True)
class Event:
    """Something that happened to a task. `by` is a person, or empty: it happened by itself."""

    at: float
    kind: str  # a state's name, or: placed, session, sent, said, uploaded, guard, patch, note
    text: str
    by: str = ""
    number: int = 0  # in the order in which they were written


@dataclass(frozen=True)
class Patch:
    """What an attempt changed in its code: text that `git am` or `git apply` takes."""

    attempt: int
    base: str  # the commit that it applies to
    text: str
    commits: int = 0
    files: int = 0


class PlanState(StrEnum):
    """Where a plan is."""

    THINKING = "thinking"  # it is being made
    REVIEW = "review"  # a person may change and approve it
    APPROVED = "approved"  # its steps are tasks like others
    FAILED = "failed"  # none could be made
    DISCARDED = "discarded"


@dataclass(frozen=True)
class Plan:
    """A goal, and the tasks that it was split into; those name it in `Task.plan`."""

    id: int
    goal: str
    state: PlanState
    by: str
    created: float
    at_once: bool = False  # approved as soon as it is made
    reason: str = ""  # why it failed
    cost: int = 0


@dataclass(frozen=True)
class Audit:
    """Who did what, and from where. One line each in the journal, too."""

    at: float
    who: str
    where: str  # the address, or how they came: socket, token
    action: str
    what: str
    number: int = 0


@dataclass(frozen=True)
class Counts:
    """How many tasks are in which state."""

    by_state: dict[State, int] = field(default_factory=dict)
