"""Every page in a real browser: for everybody, at every width, in dark and light, in silence."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response

from tests.browser.conftest import DESKTOP, PHONE, Served, served, visit
from tests.unit.orchestrator.web.desks import MemoryDesk

AXE = Path(__file__).parent / "axe"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PAGES = [
    *(
        "/",
        "/agents/mini",
        "/agents/tower",
        "/kill",
        "/kill?host=mini",
        "/tasks",
        "/tasks?state=lost",
    ),
    *("/tasks/new", "/tasks/3", "/tasks/4", "/tasks/5?attempt=1", "/tasks/7", "/plans", "/plans/1"),
    *("/plans/2", "/plans/5", "/cluster", "/costs", "/health", "/activity", "/tasks/99"),
]
EMPTY = [
    "/",
    "/kill",
    "/tasks",
    "/tasks/new",
    "/plans",
    "/cluster",
    "/costs",
    "/health",
    "/activity",
]
NARROW = {"width": 320, "height": 640}  # also what is left of a wide window at 400 %


def test_the_checker_is_what_its_authors_published() -> None:
    row = (AXE / "VENDORED").read_text().splitlines()[1].split()
    script = (AXE / row[0]).read_bytes()
    assert hashlib.sha256(script).hexdigest() == row[3]
    assert f"axe v{row[2]}".encode() in script[:100]
    assert (AXE / "LICENSE").read_text().strip()


def violations(page: Page) -> list[str]:
    """What axe-core finds on the page as it is now."""
    page.evaluate((AXE / "axe.min.js").read_text() + "; 0")
    options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
    found: dict[str, Any] = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def _status(answer: Response | None) -> int:
    assert answer is not None
    return answer.status


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_for_everybody(
    browser: Browser, site: Served, viewport: dict[str, int], scheme: str
) -> None:
    with visit(browser, site, viewport=viewport, color_scheme=scheme) as it:
        for path in PAGES:
            missing = _status(it.page.goto(path)) == 404
            assert violations(it.page) == [], path
            assert it.complaints == [] or missing, path
            it.complaints.clear()


@pytest.mark.parametrize("kind", [{"hostile": True}, {"empty": True}])
def test_texts_of_any_kind_harm_no_page(
    browser: Browser, tmp_path: Path, kind: dict[str, bool]
) -> None:
    """Long ones, none, and those that would be markup or scripts, on the narrowest phone."""
    desk = MemoryDesk(**kind)
    known = PAGES if "hostile" in kind else EMPTY
    with served(desk, tmp_path) as site, visit(browser, site, viewport=NARROW) as it:
        for path in known:
            missing = _status(it.page.goto(path)) == 404
            wide = it.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= NARROW["width"], path
            assert it.page.locator("xss-was-here").count() == 0
            assert violations(it.page) == [], path
            assert it.complaints == [] or missing, path
            it.complaints.clear()


MOTION = """() => [...document.querySelectorAll("*")]
  .map(one => getComputedStyle(one))
  .filter(style => [style.transitionDuration, style.animationDuration].some(it => /[1-9]/.test(it))
    || style.scrollBehavior === "smooth").length"""


@pytest.mark.parametrize(("wish", "some"), [("reduce", False), ("no-preference", True)])
def test_nothing_moves_for_whoever_wants_no_motion(
    browser: Browser, site: Served, wish: str, *, some: bool
) -> None:
    with visit(browser, site, reduced_motion=wish) as it:
        it.page.goto("/tasks")
        assert bool(it.page.evaluate(MOTION)) is some


def test_every_link_that_is_seen_leads_to_a_page(browser: Browser, site: Served) -> None:
    """As the browser resolves them, links within pages included."""
    with visit(browser, site) as it:
        waiting, seen = [f"{site.url}/"], set[str]()
        while waiting:
            address = waiting.pop()
            seen.add(address)
            path = address.partition("#")[0]
            answer = it.page.request.get(path)
            assert answer.status == 200, address
            if not answer.headers["content-type"].startswith("text/html"):
                continue
            it.page.set_content(answer.text().replace("<head>", f'<head><base href="{path}">'))
            found = it.page.eval_on_selector_all("a[href]", "all => all.map(one => one.href)")
            ids = set(it.page.eval_on_selector_all("[id]", "all => all.map(one => one.id)"))
            here = {one for one in found if one.startswith(f"{path}#")}
            assert {one.partition("#")[2] for one in here} <= ids, address
            waiting += [one for one in set(found) - here - seen if one.startswith(site.url)]
            waiting = list(dict.fromkeys(waiting))
            assert all(one.startswith(site.url) for one in found), address
        assert len(seen) > 40
