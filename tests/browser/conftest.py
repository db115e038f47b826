"""A browser, and the pages of a desk in memory, served on loopback behind the real guard."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Dialog, Page, Request, sync_playwright

from orchestrator.web.app import app, guarded
from orchestrator.web.who import Door, Doorkeeper, Whois
from tests.browser.chromium import launched
from tests.unit.orchestrator.web.desks import ALICE, MemoryDesk, config

TOKEN = "a-token-of-the-test"  # noqa: S105 - opens nothing
LEFT = "net::ERR_ABORTED"  # a page was left while its stream was open
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@dataclass
class Served:
    """The pages of a desk. It lives in the server's thread: `do` calls something there."""

    port: int
    desk: MemoryDesk
    _loop: asyncio.AbstractEventLoop
    _server: uvicorn.Server
    _running: threading.Thread

    @property
    def url(self) -> str:
        """Where the pages are."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End the server, whoever is still connected."""
        self._server.should_exit = True
        self._running.join(10)

    def do(self, what: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """Call it where the desk lives, and return what it returns."""

        async def call() -> Any:
            return what(*arguments, **more)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)


def _run(loop: asyncio.AbstractEventLoop, server: uvicorn.Server, door: socket.socket) -> None:
    """Serve until told to end; then nobody stays connected, as when a process ends."""

    async def hang_up() -> None:
        for connection in tuple(server.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)

    loop.run_until_complete(server.serve([door]))
    loop.run_until_complete(hang_up())
    loop.close()


@contextmanager
def served(
    desk: MemoryDesk, folder: Path, port: int = 0, way: Door = Door.LOOPBACK
) -> Iterator[Served]:
    """Serve the desk's pages; on another port than 0 again, as after a restart."""
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", port))
        port = door.getsockname()[1]
        known = config(folder, port=port)
        keeper = Doorkeeper(known.operators, TOKEN, Whois(()))
        application = guarded(app(desk, b"forms"), way, keeper, known)
        how = uvicorn.Config(
            application, log_level="critical", lifespan="off", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(how)
        loop = asyncio.new_event_loop()
        running = threading.Thread(target=_run, args=(loop, server, door))
        it = Served(port, desk, loop, server, running)
        running.start()
        try:
            yield it
        finally:
            it.stop()


@pytest.fixture(scope="package")  # Playwright keeps a loop running, beside which no other can run
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launched(playwright) as it:
        yield it


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Served]:
    with served(MemoryDesk(), tmp_path) as it:
        yield it


@dataclass
class Visit:
    """A page that somebody looks at, and what its browser found wrong."""

    page: Page
    complaints: list[str]


@contextmanager
def visit(browser: Browser, site: Served, **how: Any) -> Iterator[Visit]:
    """Look at a site; `how` is the browser's: viewport, color_scheme, java_script_enabled…"""
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Agentfleet-Who": ALICE}
    context = browser.new_context(base_url=site.url, extra_http_headers=headers, **how)
    context.set_default_timeout(10_000)
    complaints: list[str] = []
    page = context.new_page()
    _note(page, site.url, complaints)
    try:
        yield Visit(page, complaints)
    finally:
        context.close()


def _note(page: Page, url: str, complaints: list[str]) -> None:
    """Note what no page of ours does: errors, dialogs, asking elsewhere, asking for nothing."""

    def ended(request: Request) -> None:
        if request.failure != LEFT:
            complaints.append(f"{request.failure}: {request.url}")

    def asked(request: Request) -> None:
        if not request.url.startswith(f"{url}/"):
            complaints.append(f"asked elsewhere: {request.url}")

    def opened(dialog: Dialog) -> None:
        complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("console", lambda it: complaints.append(f"{it.type}: {it.text} {it.location}"))
    page.on("pageerror", lambda it: complaints.append(str(it)))
    page.on("requestfailed", ended)
    page.on("request", asked)
    page.on("dialog", opened)
