"""Pictures of the pages for docs/img: each in the width of a desk and of a phone."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from orchestrator.web.who import Door
from tests.browser.chromium import launched
from tests.browser.conftest import DESKTOP, PHONE, served, visit
from tests.browser.showcase import Showcase

TO = Path(__file__).resolve().parents[2] / "docs" / "img"
PAGES = {
    "fleet": "/",
    "agent": "/agents/rpi2",
    "tasks": "/tasks",
    "task": "/tasks/40",
    "new-task": "/tasks/new",
    "plan": "/plans/6",
    "plans": "/plans",
    "cluster": "/cluster",
    "health": "/health",
    "costs": "/costs",
    "activity": "/activity",
}
# Where a page is: at a desk in light, on a phone in the dark.
WIDTHS = {"desktop": (DESKTOP, "light"), "phone": (PHONE, "dark")}

STILL = {"reduced_motion": "reduce"}  # no picture is taken while something changes its colour


def main() -> int:
    """Take them all."""
    TO.mkdir(parents=True, exist_ok=True)
    desk = Showcase()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        for width, (viewport, scheme) in WIDTHS.items():
            with (
                launched(playwright) as browser,
                served(desk, Path(folder), way=Door.SOCKET) as site,
                visit(browser, site, viewport=viewport, color_scheme=scheme, **STILL) as it,
            ):
                for name, path in PAGES.items():
                    it.page.goto(path)
                    if it.page.locator("#live").count():
                        expect(it.page.locator("#link")).to_have_text("live")
                    file = TO / f"{name}-{width}.png"
                    it.page.screenshot(path=file, full_page=width == "desktop")
                    print(f"{file.name} {file.stat().st_size // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
