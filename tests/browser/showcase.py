"""A fleet on an ordinary afternoon, for pictures of the pages."""

from __future__ import annotations

from dataclasses import replace

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
    Audit,
    Code,
    Event,
    Message,
    Patch,
    Plan,
    PlanState,
    State,
    Task,
    Wish,
)
from tests.unit.orchestrator.web.desks import ALICE, USD, MemoryDesk

MIN, HOUR, DAY = 60.0, 3600.0, 86_400.0
COMMIT = "4be1f0c2a9d87e35b6cc01f9a2d4e8f7360b5a1c"
BOSS = AgentHost(
    "arch-orchestrator", "orchestrator", "arch", "x86_64", "always-on", "http://it", False, True
)
HOSTS = (
    BOSS,
    replace(BOSS, name="macbook1", role="headless-mac", os="macos", root=True, compilers=False),
    replace(BOSS, name="imac", role="headless-mac", os="macos", root=True, compilers=False),
    *(
        replace(BOSS, name=name, role="pi", os="raspios", arch="aarch64", root=True)
        for name in ("rpi1", "rpi2", "rpi3")
    ),
)
TRUST = "Do you trust the files in this folder?"
# How each is, since how many minutes, what it says, and the cents of its session.
NOW = {
    "arch-orchestrator": ("idle", 4, "", 0),
    "macbook1": ("working", 6, "", 214),
    "imac": ("idle", 52, "", 61),
    "rpi1": ("working", 2, "", 803),
    "rpi2": ("working", 11, "", 145),
    "rpi3": ("stuck", 38, TRUST, 12),
}
WORKS_ON = {"macbook1": 41, "rpi1": 43, "rpi2": 42}
SAID = """\
● I'll look at how the date is parsed first.

● Bash(grep -rn "strptime" src/)
  └  src/station/log.py:41:    return datetime.strptime(text, "%d.%m.%y")

● The format drops the century, so 1999 and 2099 look alike. I'll write it with four digits,
  read both, and add a test with a log of the old kind.

● Update(src/station/log.py)
  └  Updated with 3 additions and 1 removal

● Bash(python -m pytest -q)
  └  57 passed in 1.31s

● Done. Old logs are still read; what is written from now on has four digits of the year."""
PATCH = """\
diff --git a/src/station/log.py b/src/station/log.py
index 3f1c2aa..b07e911 100644
--- a/src/station/log.py
+++ b/src/station/log.py
@@ -38,7 +38,9 @@ class Reading:

 def parse_day(text: str) -> date:
     \"\"\"The day of a reading.\"\"\"
-    return datetime.strptime(text, "%d.%m.%y").date()
+    # Logs of before 2024 have two digits of the year.
+    kind = "%d.%m.%Y" if len(text) == 10 else "%d.%m.%y"
+    return datetime.strptime(text, kind).date()


 def format_day(day: date) -> str:
"""


class Showcase(MemoryDesk):
    """See tests/unit/orchestrator/web/desks.py."""

    def __init__(self) -> None:
        super().__init__(empty=True)
        money = {host.name: self._purses(NOW[host.name][3]) for host in HOSTS}
        self._agents = {host.name: self._agent_of(host, money[host.name]) for host in HOSTS}
        self._strangers = (Stranger("100.101.7.23", "old-thinkpad", self.now - 20 * MIN),)
        self._budgets = Budgets(money, Purse(1874 * USD // 100, 60 * USD), self._days())
        self._cluster = self._workers()
        self._report = self._round()
        self._tasks = {one.id: one for one in self._work()}
        self._plans = {one.id: one for one in self._some_goals()}
        self._messages = {
            40: self._talk(SAID, 4 * HOUR),
            42: self._talk(SAID.partition("● Update")[0], 11 * MIN),
        }
        self._patches = {40: Patch(1, COMMIT, PATCH, 1, 1)}
        self._events = {40: self._history()}
        self._audits = self._done_by_people()

    def _agent_of(self, host: AgentHost, money: Money) -> Agent:
        condition, minutes, said, _ = NOW[host.name]
        since, task = self.now - minutes * MIN, WORKS_ON.get(host.name, 0)
        return Agent(host, Condition(condition), since, said, money, task)

    def _purses(self, cents: int) -> Money:
        session, day = Purse(cents * USD // 100, 10 * USD), Purse(3 * cents * USD // 100, 30 * USD)
        return Money("s-214", session, day, (session.percent or 0) >= 80)

    def _days(self) -> tuple[Day, ...]:
        spent = (1874, 2210, 640, 0, 3105, 1822, 990)
        return tuple(
            Day(
                f"2026-05-{18 - number:02}",
                cents * USD // 100,
                {
                    "rpi1": cents * USD // 200,
                    "macbook1": cents * USD // 400,
                    "imac": cents * USD // 400,
                },
            )
            for number, cents in enumerate(spent)
        )

    def _round(self) -> Report:
        kinds = ("reached", "disk", "clock", "tailnet", "agent", "node")
        well = [Item(kind, host.name, Verdict.OK, "") for host in HOSTS for kind in kinds]
        unwell = [
            Item(
                "disk",
                "rpi2",
                Verdict.WARNING,
                "91 % of / is used",
                "make room: fleet ssh rpi2 -- df -h",
            ),
            Item(
                "service iceccd",
                "rpi3",
                Verdict.FAILED,
                "it does not run",
                "fleet logs rpi3 iceccd",
            ),
            Item("node", "rpi3", Verdict.UNKNOWN, "see service iceccd"),
            Item(
                "reached",
                "windows-laptop",
                Verdict.PENDING,
                "it is off, which it may be: Connection timed out",
            ),
        ]
        said = {one.name for one in unwell}
        items = (*unwell, *(one for one in well if one.name not in said))
        return Report(300, self.now - 2 * MIN, items)

    def _workers(self) -> Cluster:
        nodes = (
            Node("arch-orchestrator", "100.101.0.1", "x86_64", 6, 8, 612),
            Node("rpi1", "100.101.0.5", "aarch64", 4, 4, 880),
            Node("rpi2", "100.101.0.6", "aarch64", 3, 4, 540),
            Node("rpi3", "100.101.0.7", "aarch64", 0, 4, 21),
            Node("windows-desktop", "100.101.0.8", "x86_64", 9, 14, 733),
        )
        jobs = tuple(
            f"{700 + number} COMP sub:arch-orchestrator on:{host} sodium/{file}.c"
            for number, (host, file) in enumerate(
                (
                    ("windows-desktop", "aead_aegis256"),
                    ("rpi1", "hash_sha512"),
                    ("rpi2", "box_seal"),
                )
            )
        )
        return Cluster(nodes, jobs, ("windows-laptop",), {})

    def _work(self) -> list[Task]:
        code = Code("c" * 64, COMMIT, "main", "weather-station")
        done = {"host": "rpi1", "ended": self.now - 3 * HOUR, "cost": 182 * USD // 100}
        rows: list[tuple[int, str, State, float, dict[str, object]]] = [
            (43, "Update the packages and say what changed", State.RUNNING, 3 * MIN,
             {"host": "rpi1", "cost": 41 * USD // 100}),
            (42, "Write four digits of the year into the log", State.RUNNING, 11 * MIN,
             {"host": "rpi2", "cost": 145 * USD // 100, "code": code}),
            (41, "Find out why the backup took nine hours", State.RUNNING, 25 * MIN,
             {"host": "macbook1", "cost": 214 * USD // 100}),
            (44, "Measure the disk's speed", State.QUEUED, 1 * MIN,
             {"reason": "waits: rpi3 is stuck in a dialog since 14:02", "wish": Wish(host="rpi3")}),
            (40, "Read old logs, whose years have two digits", State.DONE, 4 * HOUR,
             {**done, "code": code, "why": "rpi1: idle, always on, $21.80 left"}),
            (39, "Rename the photos by the day they were taken", State.LOST, 6 * HOUR,
             {"host": "imac", "reason": "imac restarted while it worked: look there, then decide"}),
            (38, "Draw the temperatures of May", State.DONE, 7 * HOUR, {**done, "host": "imac"}),
            (37, "Build the firmware with -Os", State.FAILED, 8 * HOUR,
             {"host": "rpi2", "cost": 96 * USD // 100, "ended": self.now - 7 * HOUR,
              "reason": "it spent what it may ($1.00)"}),
            (36, "Make an index of the manuals", State.CANCELLED, DAY,
             {"host": "imac", "reason": "cancelled by alice"}),
            (45, "Cross-compile the station's program for the Pis", State.DRAFT, 5 * MIN,
             {"plan": 6, "step": "build", "wish": Wish(host="arch-orchestrator")}),
            (46, "Install it on one Pi and watch its log for a minute", State.DRAFT, 5 * MIN,
             {"plan": 6, "step": "try", "after": (45,), "wish": Wish(host="rpi1")}),
            (47, "Draw what the Pi measured beside what the old version did", State.DRAFT, 5 * MIN,
             {"plan": 6, "step": "compare", "after": (46,), "wish": Wish(role="headless-mac")}),
        ]  # fmt: skip
        return [self._made(*row) for row in rows]

    def _made(
        self, number: int, title: str, state: State, before: float, more: dict[str, object]
    ) -> Task:
        task = Task(number, title, f"{title}.", Wish(), state, ALICE, self.now - before)
        return replace(task, changed=self.now - before, **more)  # type: ignore[arg-type]

    def _some_goals(self) -> list[Plan]:
        goal = "See whether the new version of the weather station measures better"
        return [
            Plan(6, goal, PlanState.REVIEW, ALICE, self.now - 5 * MIN, cost=9 * USD // 100),
            Plan(5, "Find duplicates on all disks", PlanState.APPROVED, ALICE, self.now - DAY),
        ]

    async def conversation(self, host: str) -> tuple[Message, ...]:
        return tuple(self._messages.get(self._agent(host).task, ()))

    def _talk(self, said: str, before: float) -> list[Message]:
        asked = "Read old logs, whose years have two digits, and write four from now on."
        at = self.now - before
        return [Message(1, "user", asked, at), Message(2, "agent", said, at + 5 * MIN)]

    def _history(self) -> list[Event]:
        at = self.now - 4 * HOUR
        rows = (
            ("queued", "", ALICE),
            ("placed", "rpi1: idle, always on, $21.80 left", ""),
            ("session", "s-201", ""),
            ("sent", "the agent was told", ""),
            ("done", "the agent waits for input again", ""),
            ("patch", "1 file, 1 commit", ""),
        )
        return [
            Event(at + n * MIN, kind, text, by, n) for n, (kind, text, by) in enumerate(rows, 1)
        ]

    def _done_by_people(self) -> list[Audit]:
        rows = (
            ("send", "task 39: Rename the photos by the day they were taken"),
            ("send", "task 40: Read old logs, whose years have two digits"),
            ("new-session", "imac s-213"),
            ("think", "plan 6: See whether the new version of the weather station measures better"),
            ("send", "task 44: Measure the disk's speed"),
        )
        return [
            Audit(self.now - (6 - n) * HOUR, ALICE, "100.101.0.30", action, what, n)
            for n, (action, what) in enumerate(rows, 1)
        ]
