"""Pages change by themselves, and nobody who reads or types is disturbed by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from orchestrator.registry.model import Condition
from orchestrator.tasks.model import State
from tests.browser.conftest import DESKTOP, PHONE, Served, served, visit
from tests.unit.orchestrator.web.desks import MemoryDesk

SOON_MS = 2_000
WATCH = """
window.shifts = [];
const named = one => one.node && `${one.node.nodeName} ${one.node.className}`;
new PerformanceObserver(list => {
  for (const one of list.getEntries())
    if (!one.hadRecentInput) window.shifts.push([one.value, ...one.sources.map(named)]);
}).observe({type: "layout-shift", buffered: false});
"""


def live(page: Page) -> None:
    """Wait until the page's stream is open, then watch for what moves."""
    expect(page.locator("#link")).to_have_text("live")
    page.evaluate(WATCH)


def moved(page: Page) -> list[object]:
    page.wait_for_timeout(300)
    return list(page.evaluate("window.shifts"))


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_task_is_followed_without_anything_moving(
    browser: Browser, site: Served, viewport: dict[str, int]
) -> None:
    with visit(browser, site, viewport=viewport) as it:
        it.page.goto("/tasks/3")
        live(it.page)
        for number in range(60):
            site.do(site.desk.speak, 3, f"\nline {number} of what it does")
        expect(it.page.get_by_role("log")).to_contain_text("line 59 of", timeout=SOON_MS)
        at_end = "e => e.scrollHeight - e.scrollTop - e.clientHeight"
        assert it.page.get_by_role("log").evaluate(at_end) < 5, "it is followed to its end"
        it.page.get_by_role("log").evaluate("e => { e.scrollTop = 0; }")
        it.page.wait_for_timeout(100)
        site.do(site.desk.speak, 3, "\nthe last line")
        expect(it.page.get_by_role("log")).to_contain_text("the last line", timeout=SOON_MS)
        assert it.page.get_by_role("log").evaluate("e => e.scrollTop") == 0, "somebody reads"
        site.do(site.desk.become, 3, State.LOST, reason="mini went away while it worked")
        expect(it.page.get_by_text("mini went away while it worked")).to_be_visible(timeout=SOON_MS)
        expect(it.page.get_by_role("button", name="It is done")).to_be_visible()
        assert moved(it.page) == []
        assert it.complaints == []


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("path", ["/", "/tasks"])
def test_lists_change_in_place(
    browser: Browser, site: Served, viewport: dict[str, int], path: str
) -> None:
    with visit(browser, site, viewport=viewport) as it:
        it.page.goto(path)
        live(it.page)
        site.do(site.desk._be, "rpi1", Condition.WORKING)
        site.do(site.desk.become, 1, State.RUNNING, host="rpi1", reason="")
        site.do(site.desk.become, 2, State.FAILED, reason="no room on rpi1, " * 20)
        where = it.page.locator("#part-agent-rpi1" if path == "/" else "#part-task-row-1")
        word = "working" if path == "/" else "running"
        expect(where.locator(".badge")).to_have_text(word, timeout=SOON_MS)
        assert moved(it.page) == []


def test_new_tasks_are_announced_and_push_nothing_away(browser: Browser, site: Served) -> None:
    with visit(browser, site) as it, visit(browser, site) as other:
        it.page.goto("/tasks")
        live(it.page)
        other.page.goto("/tasks/new")
        other.page.get_by_label("What is to be done").fill("one more")
        other.page.get_by_role("button", name="Send task").click()
        newer = it.page.get_by_role("link", name="1 newer: show")
        expect(newer).to_be_visible(timeout=SOON_MS)
        assert moved(it.page) == []
        newer.click()
        expect(it.page.get_by_role("link", name="10: one more")).to_be_visible()


def test_what_is_typed_into_a_plan_outlives_its_updates(browser: Browser, site: Served) -> None:
    with visit(browser, site) as it:
        it.page.goto("/plans/1")
        live(it.page)
        it.page.get_by_label("What step build does").fill("build it well")
        site.do(site.desk._put, site.desk._tasks[9])
        it.page.wait_for_timeout(800)
        expect(it.page.get_by_label("What step build does")).to_have_value("build it well")
        it.page.get_by_role("button", name="Approve and run").click()
        expect(it.page.locator(".badge").first).to_have_text("approved")
        assert site.desk._tasks[8].prompt == "build it well"


def test_a_choice_in_a_plan_outlives_its_updates(browser: Browser, site: Served) -> None:
    """The first one of a list, too, where the page came with another."""
    with visit(browser, site) as it:
        it.page.goto("/plans/1")
        live(it.page)
        host = it.page.get_by_label("Host of test")
        expect(host).to_have_value("rpi1")
        host.select_option("")
        it.page.get_by_role("heading", level=1).click()
        site.do(site.desk._put, replace(site.desk._tasks[8], title="another title"))
        site.do(site.desk._put_plan, replace(site.desk._plans[1], reason="seen by now"))
        expect(it.page.get_by_text("seen by now")).to_be_visible(timeout=SOON_MS)
        it.page.wait_for_timeout(300)
        expect(host).to_have_value("")


@pytest.mark.parametrize(("path", "label"), [("/", "What is to be done"), ("/agents/mini", "Say")])
def test_what_is_typed_beside_what_changes_stays(
    browser: Browser, site: Served, path: str, label: str
) -> None:
    with visit(browser, site) as it:
        it.page.goto(path)
        live(it.page)
        it.page.get_by_label(label).press_sequentially("to be ")
        site.do(site.desk._be, "mini", Condition.STUCK)
        site.do(site.desk.become, 3, State.LOST, reason="it went away")
        expect(it.page.get_by_role("main")).to_contain_text("stuck", timeout=SOON_MS)
        it.page.keyboard.type("continued")
        expect(it.page.get_by_label(label)).to_have_value("to be continued")


def test_focus_stays_where_it_is(browser: Browser, site: Served) -> None:
    with visit(browser, site) as it:
        it.page.goto("/tasks/3")
        live(it.page)
        it.page.get_by_role("button", name="Cancel task").focus()
        site.do(site.desk.become, 3, State.RUNNING, reason="still at it")
        expect(it.page.get_by_text("still at it")).to_be_visible(timeout=SOON_MS)
        expect(it.page.get_by_role("button", name="Cancel task")).to_be_focused()


def test_a_page_finds_back_to_a_service_that_starts_anew(browser: Browser, tmp_path: Path) -> None:
    desk = MemoryDesk()
    with served(desk, tmp_path) as site, visit(browser, site) as it:
        it.page.goto("/tasks/3")
        live(it.page)
        site.stop()
        expect(it.page.locator("#link")).to_have_text("trying again")
        desk.become(3, State.DONE)
        with served(desk, tmp_path, site.port):
            expect(it.page.locator("#link")).to_have_text("live", timeout=20_000)
            expect(it.page.locator(".badge").first).to_have_text("done", timeout=SOON_MS)


def test_what_is_again_as_it_was_is_shown_so_after_a_restart(
    browser: Browser, tmp_path: Path
) -> None:
    """The page came with two idle agents, has since shown one, and there are two again."""
    desk = MemoryDesk()
    with served(desk, tmp_path) as site, visit(browser, site) as it:
        it.page.goto("/")
        live(it.page)
        expect(it.page.locator("#part-summary")).to_contain_text("2 idle")
        site.do(desk._be, "rpi1", Condition.WORKING)
        expect(it.page.locator("#part-summary")).to_contain_text("1 idle", timeout=SOON_MS)
        it.page.evaluate("window.kept = document.querySelector('#part-agent-rpi3 h3')")
        site.stop()
        expect(it.page.locator("#link")).to_have_text("trying again")
        desk._be("rpi1", Condition.IDLE)
        with served(desk, tmp_path, site.port):
            expect(it.page.locator("#link")).to_have_text("live", timeout=20_000)
            expect(it.page.locator("#part-summary")).to_contain_text("2 idle", timeout=SOON_MS)
            assert it.page.evaluate("window.kept.isConnected"), "what is the same is left alone"


def look(page: Page, *, away: bool) -> None:
    """Somebody turns to another tab, or back to this one."""
    page.evaluate(
        """away => {
        Object.defineProperty(document, "hidden", {value: away, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }""",
        away,
    )


def test_a_page_that_nobody_sees_is_not_kept_up_to_date_until_somebody_does(
    browser: Browser, site: Served
) -> None:
    with visit(browser, site) as it:
        it.page.goto("/")
        live(it.page)
        site.do(site.desk._be, "rpi1", Condition.WORKING)
        summary = it.page.locator("#part-summary")
        expect(summary).to_contain_text("1 idle", timeout=SOON_MS)
        look(it.page, away=True)
        it.page.wait_for_function("() => !document.querySelector('[sse-connect]')")
        site.do(site.desk._be, "rpi1", Condition.IDLE)
        it.page.wait_for_timeout(1_000)
        assert "1 idle" in summary.inner_text(), "a connection less for whoever has many tabs"
        look(it.page, away=False)
        expect(summary).to_contain_text("2 idle", timeout=SOON_MS)
        assert it.complaints == []
