"""What people do with the page: with the keyboard alone, without JavaScript, and step by step."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from orchestrator.registry.model import Condition
from orchestrator.tasks.model import PlanState, State
from tests.browser.conftest import PHONE, Served, visit

FOCUSED = "e => e === document.activeElement"
SEEN = """() => {
  const one = document.activeElement;
  const style = getComputedStyle(one), box = one.getBoundingClientRect();
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return one === document.body || (outlined && box.bottom > 0 && box.top < innerHeight);
}"""


def tab_to(page: Page, role: str, name: str) -> None:
    """Press Tab until something is focused; whatever is on the way is seen to have the focus."""
    wanted = page.get_by_role(role, name=name, exact=True).first  # type: ignore[arg-type]
    for _ in range(80):
        if wanted.evaluate(FOCUSED):
            return
        page.keyboard.press("Tab")
        assert page.evaluate(SEEN), page.evaluate("document.activeElement.outerHTML")
    raise AssertionError(f"the keyboard does not get to {name}")


def test_a_task_is_sent_with_the_keyboard_alone(browser: Browser, site: Served) -> None:
    with visit(browser, site) as it:
        it.page.goto("/")
        it.page.keyboard.press("Tab")
        expect(it.page.get_by_role("link", name="Skip to content")).to_be_focused()
        it.page.keyboard.press("Enter")
        expect(it.page.get_by_role("main")).to_be_focused()
        tab_to(it.page, "textbox", "What is to be done")
        it.page.keyboard.type("count the stars")
        tab_to(it.page, "combobox", "Host")
        it.page.keyboard.type("rpi1")
        tab_to(it.page, "button", "Send task")
        it.page.keyboard.press("Enter")
        expect(it.page.get_by_role("heading", level=1)).to_have_text("Task 10: count the stars")
        assert site.desk._tasks[10].wish.host == "rpi1"
        tab_to(it.page, "button", "Cancel task")
        it.page.keyboard.press("Enter")
        expect(it.page.locator(".badge").first).to_have_text("cancelled")


def test_where_a_task_would_run_is_seen_before_it_is_sent(browser: Browser, site: Served) -> None:
    with visit(browser, site, viewport=PHONE) as it:
        it.page.goto("/")
        expect(it.page.get_by_text("Runs on boss")).to_be_visible()
        it.page.get_by_label("Host").select_option("tower")
        expect(it.page.locator("#choice")).to_contain_text("tower sleeps")
        it.page.get_by_label("What is to be done").fill("kept")
        it.page.get_by_role("button", name="More choices").click()
        expect(it.page.get_by_label("What is to be done")).to_have_value("kept")
        expect(it.page.get_by_label("Host", exact=True)).to_have_value("tower")
        it.page.get_by_label("if that host is away").uncheck()
        expect(it.page.locator("#choice")).to_contain_text("Waits")
        assert it.complaints == []


def test_everything_is_done_without_javascript(browser: Browser, site: Served) -> None:
    with visit(browser, site, java_script_enabled=False) as it:
        page, desk = it.page, site.desk
        page.goto("/tasks/new")
        page.get_by_label("What is to be done").fill("count the stars")
        page.get_by_label("Processor").select_option("aarch64")
        page.get_by_role("button", name="Where would it run?").click()
        expect(page.locator("#choice")).to_contain_text("rpi2 is stuck in a dialog")
        files = [{"name": "sky.txt", "mimeType": "text/plain", "buffer": b"* * *"}]
        page.get_by_label("Files for the agent").set_input_files(files)  # type: ignore[arg-type]
        page.get_by_role("button", name="Send task").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Task 10: count the stars")
        assert [one.name for one in desk._tasks[10].attachments] == ["sky.txt"]
        page.get_by_role("button", name="Cancel task").click()
        assert desk._tasks[10].state is State.CANCELLED
        page.get_by_role("button", name="Try again").click()
        assert desk._tasks[10].attempt == 2
        page.goto("/tasks/7")
        page.get_by_role("button", name="It is done").click()
        assert desk._tasks[7].state is State.DONE
        page.goto("/agents/rpi1")
        page.get_by_label("Say something").fill("hello")
        page.get_by_role("button", name="Say it").click()
        assert desk.said == [("rpi1", "hello", "token", False)]


def test_stopping_asks_once_and_says_whom(browser: Browser, site: Served) -> None:
    with visit(browser, site, java_script_enabled=False) as it:
        it.page.goto("/agents/rpi1")
        it.page.get_by_role("link", name="Stop this agent").click()
        it.page.get_by_role("link", name="No, go back").click()
        expect(it.page.get_by_role("heading", level=1)).to_have_text("rpi1")
        it.page.get_by_role("link", name="Stop this agent").click()
        it.page.get_by_role("button", name="Stop rpi1 now").click()
        expect(it.page.locator(".badge").first).to_have_text("over budget")
        it.page.goto("/")
        it.page.get_by_role("link", name="Stop all agents").click()
        it.page.get_by_role("button", name="Stop all agents now").click()
        assert {one.condition for one in site.desk.agents()} == {Condition.OVER_BUDGET}


@pytest.mark.parametrize("scripts", [True, False])
def test_a_plan_is_reviewed(browser: Browser, site: Served, *, scripts: bool) -> None:
    with visit(browser, site, java_script_enabled=scripts) as it:
        page, desk = it.page, site.desk
        page.goto("/plans")
        page.get_by_role("link", name="1: Build the clock").click()
        page.get_by_label("What step build does").fill("build it well")
        page.get_by_label("Host of build").select_option("rpi2")
        page.get_by_role("group", name="test comes after").get_by_label("build").uncheck()
        page.get_by_role("button", name="Save changes").click()
        assert (desk._tasks[8].prompt, desk._tasks[8].wish.host) == ("build it well", "rpi2")
        assert desk._tasks[9].after == ()
        page.get_by_role("button", name="Drop step test").click()
        expect(page.get_by_label("What step test does")).to_have_count(0)
        page.get_by_role("button", name="Approve and run").click()
        expect(page.locator(".badge").first).to_have_text("approved")
        assert (desk._tasks[8].state, desk._tasks[9].state) == (State.QUEUED, State.CANCELLED)
        page.goto("/plans")
        page.get_by_label("Goal").fill("a house")
        page.get_by_label("Run at once").check()
        page.get_by_role("button", name="Make a plan").click()
        made = desk._plans[6]
        assert (made.goal, made.at_once, made.state) == ("a house", True, PlanState.THINKING)
        expect(page.get_by_text("The goal is being split")).to_be_visible()


def test_a_patch_is_read_and_taken_along(browser: Browser, site: Served) -> None:
    with visit(browser, site) as it:
        it.page.goto("/tasks/4")
        patch = it.page.get_by_role("region", name="Patch")
        expect(patch.locator(".added").first).to_have_text("+def now() -> float:\n")
        with it.page.expect_download() as coming:
            it.page.get_by_role("link", name="As a file").click()
        assert coming.value.suggested_filename == "task-4.patch"
        assert coming.value.path().read_text() == site.desk._patches[4].text


def test_a_form_from_another_site_is_refused(browser: Browser, site: Served) -> None:
    """Another page sends one in the operator's browser, in which the page would know her."""
    with visit(browser, site) as it:
        it.page.goto("about:blank")
        form = f'<form method="post" action="{site.url}/kill"><input name="all" value="yes"></form>'
        it.page.set_content(form)
        it.page.evaluate("document.forms[0].submit()")
        expect(it.page.locator("body")).to_contain_text("another site")
        assert {one.condition for one in site.desk.agents()} != {Condition.OVER_BUDGET}
