"""Whatever changes on a page, what can be pressed and typed into stays in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, Page, expect

from orchestrator.desk import News
from orchestrator.registry.model import Condition, Purse, Stranger
from orchestrator.tasks.model import PlanState, State
from tests.browser.conftest import DESKTOP, PHONE, Served, visit
from tests.unit.orchestrator.web.desks import HOSTS, USD, MemoryDesk

SOON_MS = 2_000
LONG = "it does not answer since somebody looked at it the last time, which was long ago; " * 4
# What a browser reports as moved it knew before; what is put in anew it does not compare. So
# places are compared, too: of what is used, by its words.
PLACES = """() => Object.fromEntries(
  [...document.querySelectorAll("button, .button, .danger, textarea, select, h1, table, .log")]
    .map(one => {
      const box = one.getBoundingClientRect();
      return [`${one.tagName} ${one.id || one.innerText.slice(0, 20)}`, [box.x, box.y + scrollY]];
    })
)"""
WATCH = """() => {
  window.shifts = [];
  const named = one => one.node && `${one.node.nodeName} ${one.node.className}`;
  new PerformanceObserver(list => {
    for (const one of list.getEntries())
      if (!one.hadRecentInput) window.shifts.push([one.value, ...one.sources.map(named)]);
  }).observe({type: "layout-shift", buffered: false});
}"""


def everybody_is_stuck(desk: MemoryDesk) -> str:
    for host in HOSTS:
        desk._agents[host.name] = replace(desk._agents[host.name], said=LONG)
        desk._be(host.name, Condition.STUCK)
    return "9 stuck"


def strangers_come(desk: MemoryDesk) -> str:
    desk._strangers += tuple(Stranger(f"100.64.0.{one}", "?", desk.now) for one in range(90, 95))
    desk.bus.tell(News("agents"))
    return "100.64.0.94"


def an_agent_says_much(desk: MemoryDesk) -> str:
    agent = desk._agents["rpi1"]
    spent = replace(agent.money, of_session=Purse(10 * USD, 10 * USD), refused=LONG)
    desk._agents["rpi1"] = replace(agent, said=LONG, money=spent)
    desk._be("rpi1", Condition.STUCK)
    return LONG[:60]


def a_task_is_done(desk: MemoryDesk) -> str:
    desk._patches[3] = desk._patches[4]
    desk.become(3, State.DONE, host="mini", ended=desk.now, reason=LONG)
    desk.bus.tell(News("messages", "3"))
    return "+def now() -> float:"


def a_plan_is_made(desk: MemoryDesk) -> str:
    step = desk._tasks[8]
    for number in (20, 21):
        desk._put(replace(step, id=number, plan=2, step=f"part {number}"))
    desk._put_plan(replace(desk._plans[2], state=PlanState.REVIEW))
    return "What step part 20 does"


def the_gateway_is_silent(desk: MemoryDesk) -> str:
    desk._budgets = replace(desk._budgets, fault="the gateway does not answer")
    desk.bus.tell(News("costs"))
    return "the gateway does not answer"


def workers_go(desk: MemoryDesk) -> str:
    cluster, jobs = desk._cluster, tuple(f"job {one}" for one in range(9))
    gone = (*cluster.missing, "boss", "rpi1")
    desk._cluster = replace(cluster, missing=gone, jobs=jobs, fault="the scheduler is silent")
    desk.bus.tell(News("cluster"))
    return "job 8"


def nothing_moves(page: Page, site: Served, change: Callable[[MemoryDesk], str]) -> None:
    expect(page.locator("#link")).to_have_text("live")
    page.evaluate(WATCH)
    before = page.evaluate(PLACES)
    seen = site.do(change, site.desk)
    expect(page.locator("main")).to_contain_text(seen, timeout=SOON_MS)
    page.wait_for_timeout(300)
    after = page.evaluate(PLACES)
    assert {one: after.get(one) for one in before if one in after} == {
        one: place for one, place in before.items() if one in after
    }
    assert len(before.keys() & after.keys()) > 1
    assert page.evaluate("window.shifts") == []


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/", everybody_is_stuck),
        ("/", strangers_come),
        ("/agents/rpi1", an_agent_says_much),
        ("/tasks/3", a_task_is_done),
        ("/plans/2", a_plan_is_made),
        ("/costs", the_gateway_is_silent),
        ("/cluster", workers_go),
    ],
)
def test_what_is_used_stays_in_its_place(
    browser: Browser,
    site: Served,
    viewport: dict[str, int],
    path: str,
    change: Callable[[MemoryDesk], str],
) -> None:
    with visit(browser, site, viewport=viewport) as it:
        it.page.goto(path)
        nothing_moves(it.page, site, change)
        assert it.complaints == []
