"""The pictures of `fleet graph` in a real browser: no text covers another, by day and night."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser

from bench.simulated import describe
from fleet.commands.graph import KINDS
from fleet.model import Fleet, load_fleet
from tests.golden import target

PLACES = """() => [...document.querySelectorAll('text')].map(one => {
    const at = one.getBoundingClientRect()
    return [one.textContent, at.left, at.top + 2, at.right, at.bottom - 2]
})"""
GROUND = "() => getComputedStyle(document.querySelector('rect.f-page')).fill"


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return load_fleet(describe(tmp_path_factory.mktemp("fleet"), 60))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", ["golden", "big"])
def test_no_text_covers_another(browser: Browser, big: Fleet, size: str, kind: str) -> None:
    page = browser.new_page()
    page.set_content(KINDS[kind](big if size == "big" else target().fleet))
    found: list[Any] = page.evaluate(PLACES)
    page.close()
    assert len(found) > 10
    for number, (words, left, top, right, bottom) in enumerate(found):
        for others, *other in found[number + 1 :]:
            beside = right <= other[0] or other[2] <= left
            assert beside or bottom <= other[1] or other[3] <= top, f"{words!r} and {others!r}"


def test_it_is_dark_where_everything_is(browser: Browser) -> None:
    seen = set()
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.set_content(KINDS["mesh"](target().fleet))
        seen.add(page.evaluate(GROUND))
        context.close()
    assert seen == {"rgb(246, 247, 249)", "rgb(18, 21, 27)"}
