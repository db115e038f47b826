"""The browser of the tests: the system's Chromium, which `make test` installs where it can."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


def program() -> str:
    """The browser's path; the test is skipped, with what to do, where there is none."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium here: install it with this system's package manager")


@contextmanager
def launched(playwright: Playwright, proxy: str = "") -> Iterator[Browser]:
    """A browser that talks to nobody but the page; through a proxy, if one is named."""
    # A browser's sandbox needs an ordinary account; in it runs nothing but our own page.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    browser = playwright.chromium.launch(
        executable_path=program(),
        args=[*arguments, "--disable-background-networking", "--disable-component-update"],
        proxy={"server": proxy} if proxy else None,
    )
    try:
        yield browser
    finally:
        browser.close()
