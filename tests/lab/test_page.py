"""The page in a real browser, on a device of the operator's, which sends a real agent to work."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from fleet.target import Target
from lab.api import Lab
from tests.browser.chromium import launched
from tests.lab import desk
from tests.lab.agents import LONGEST_S, ORCHESTRATOR

AS_FOUND = "test_orchestrator"
DEVICE = "macbook2"  # the operator's, in the tailnet
WORKS = "rpi2"
PORT = 8080


def _free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return int(it.getsockname()[1])


@contextmanager
def through(lab: Lab, device: str) -> Iterator[str]:
    """A proxy whose connections come from the device."""
    port = _free_port()
    command = ["ssh", "-F", str(lab.ssh_config), "-N", "-o", "ExitOnForwardFailure=yes"]
    tunnel = subprocess.Popen([*command, "-D", f"127.0.0.1:{port}", device])
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert tunnel.poll() is None, "no way through the device"
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield f"socks5://127.0.0.1:{port}"
    finally:
        tunnel.terminate()
        tunnel.wait()


@contextmanager
def seen_from(lab: Lab, device: str) -> Iterator[Page]:
    """The fleet's page in a browser on the device."""
    address = lab.fleet.host(ORCHESTRATOR).addresses.tailnet
    with (
        through(lab, device) as proxy,
        sync_playwright() as playwright,
        launched(playwright, proxy=proxy) as browser,
    ):
        page = browser.new_page(base_url=f"http://{address}:{PORT}")
        page.set_default_timeout(20_000)
        yield page


def test_a_task_sent_by_the_page_makes_a_file_and_is_seen_at_work(lab: Lab, target: Target) -> None:
    desk.all_idle(target)
    file = f"{desk.SHARED}/made-by-the-page"
    with seen_from(lab, DEVICE) as page:
        page.goto("/")
        for host in lab.fleet.hosts:
            if host.is_agent:
                expect(page.get_by_role("link", name=host.name, exact=True)).to_be_visible()
        page.get_by_label("What is to be done").fill(f"run echo it works | tee {file}")
        page.get_by_label("Host").select_option(WORKS)
        expect(page.get_by_text(f"Runs on {WORKS}")).to_be_visible()
        page.get_by_role("button", name="Send task").click()
        page.wait_for_url("**/tasks/*")
        log = page.get_by_role("log")
        said = log.get_by_text("It printed: it works")
        expect(said).to_be_visible(timeout=LONGEST_S * 1000)
        state = page.get_by_role("status").filter(has_text=WORKS)
        expect(state.get_by_text("done", exact=True)).to_be_visible(timeout=LONGEST_S * 1000)
    assert lab.run(WORKS, f"cat {file}").stdout == "it works\n"


@pytest.mark.parametrize(("device", "user"), [("rpi3", "root"), ("windows-desktop", "icecc")])
def test_whoever_is_no_operator_sees_nothing(lab: Lab, device: str, user: str) -> None:
    """A host with a tag is nobody's; a Windows PC is somebody's, and compile jobs run there."""
    address = lab.fleet.host(ORCHESTRATOR).addresses.tailnet
    forged = "-H 'Tailscale-User-Login: alice@example.com'"
    ask = f"curl -s -m 10 -o /dev/null -w '%{{http_code}}' {forged} http://{address}:{PORT}/"
    said = lab.run(device, f"setpriv --reuid={user} --clear-groups {ask}", check=False).stdout
    assert said == ("403" if user == "root" else "000"), "by the page; by the wall at home"
