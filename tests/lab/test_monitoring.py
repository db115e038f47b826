"""The monitoring on the lab: it looks by itself, tells changes once, and can do nothing else."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.api import Lab
from tests.lab.agents import until
from tests.lab.runs import fleet

BOSS, PI, LAPTOP = "arch-orchestrator", "rpi1", "windows-laptop"
STATE = "/var/lib/agentfleet-monitor/state.json"
SINK = "/run/alerts"
SETTLED_S = 180.0  # for hosts that have just started, agents last
# Keeps each request's path and body as a line of JSON.
SERVER = f"""
import http.server, json
class Sink(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        with open("{SINK}", "a") as kept:
            kept.write(json.dumps([self.path, body]) + "\\n")
        self.send_response(200)
        self.end_headers()
    do_GET = do_POST
    def log_message(self, *said): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 9191), Sink).serve_forever()
"""
# What fleet.yaml would bring with `alert_webhook` and `alert_heartbeat`: the units' credentials.
DROP_IN = """[Service]
SetCredential=alert_webhook:http://127.0.0.1:9191/hook
SetCredential=alert_heartbeat:http://127.0.0.1:9191/beat
"""
CONFD = "/run/systemd/system/agentfleet-health.service.d"


@pytest.fixture(scope="module")
def sink(lab: Lab) -> Iterator[None]:
    """Somebody on the orchestrator who takes alerts; the rounds are the test's own."""
    lab.run(BOSS, "systemctl stop agentfleet-health.timer")
    lab.run(BOSS, f"rm -f {SINK}; systemd-run --unit=sink python3 -c {shlex.quote(SERVER)}")
    lab.run(BOSS, f"mkdir -p {CONFD}; printf '{DROP_IN}' >{CONFD}/alerts.conf")
    lab.run(BOSS, "systemctl daemon-reload")
    try:
        yield
    finally:
        lab.run(BOSS, f"systemctl stop sink; rm -r {CONFD} {SINK}; systemctl daemon-reload")
        lab.run(BOSS, "systemctl start agentfleet-health.timer")


def look(lab: Lab) -> dict[str, dict[str, Any]]:
    """A round now: every item by name."""
    done = lab.run(BOSS, "fleet-health-check --json", check=False)
    found = {one["item"]: one for one in json.loads(done.stdout)}
    failed = any(one["verdict"] == "failed" for one in found.values())
    pending = any(one["verdict"] == "pending" for one in found.values())
    assert done.returncode == (1 if failed else 3 if pending else 0), done.stderr
    return found


def red(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: one["evidence"] for name, one in found.items() if one["verdict"] == "failed"}


def heard(lab: Lab, path: str) -> list[str]:
    """What arrived at one address."""
    lines = lab.run(BOSS, f"cat {SINK} 2>/dev/null || true").stdout.splitlines()
    return [body for at, body in map(json.loads, lines) if at == path]


def test_it_looks_by_itself_and_all_is_well(lab: Lab) -> None:
    timer = lab.run(
        BOSS,
        "systemctl is-active agentfleet-health.timer; systemctl is-enabled agentfleet-health.timer",
    )
    assert timer.stdout.split() == ["active", "enabled"]
    until(lambda: red(look(lab)) == {}, SETTLED_S)
    found = look(lab)
    assert red(found) == {}
    assert {f"reached@{host.name}" for host in lab.fleet.hosts} <= set(found)
    assert {f"node@{host.name}" for host in lab.fleet.hosts} <= set(found)
    table = lab.run(BOSS, "fleet-health-check")
    assert f"{len(found)} items: {len(found)} ok\n" in table.stdout
    log = fleet("logs", BOSS, "agentfleet-health", "-n", "20")
    assert f"{len(found)} items in " in log.stdout


def test_its_key_can_ask_and_nothing_else(lab: Lab) -> None:
    key = "/var/lib/agentfleet-monitor/.ssh/id_ed25519"
    for name in (PI, "imac", LAPTOP):
        host = lab.fleet.host(name)
        options = (
            f"-i {key} -o BatchMode=yes -o HostKeyAlias={name} -p {host.ssh.port} "
            "-o UserKnownHostsFile=/etc/agentfleet/health_known_hosts"
        )
        there = f"agentfleet-health@{host.addresses.tailnet}"
        ssh = f"sudo -n -u agentfleet-monitor ssh {options} {there}"
        said = lab.run(BOSS, f"{ssh} id").stdout
        assert said.startswith("clock\t")
        assert "uid=" not in said
        assert "clock" in lab.run(BOSS, f"timeout 60 {ssh} -s sftp </dev/null").stdout
    there = "sudo -n -u agentfleet-health sudo -n"
    assert lab.run(PI, f"{there} /usr/local/libexec/agentfleet/inside x", check=False).returncode
    assert lab.run(PI, f"{there} id", check=False).returncode
    stranger = lab.run(BOSS, f"sudo -n -u nobody cat {STATE}", check=False)
    assert "Permission denied" in stranger.stderr


def test_what_breaks_is_told_once_and_so_is_its_return(lab: Lab, sink: None) -> None:
    assert red(look(lab)) == {}
    lab.run(PI, "systemctl stop agentfleet-iceccd")
    try:
        assert set(red(look(lab))) == {f"service iceccd@{PI}"}
        assert heard(lab, "/hook") == []
        look(lab)
        look(lab)
        (told,) = map(json.loads, heard(lab, "/hook"))
        assert told["title"].endswith(": 1 worse")
        assert f"FAILED: service iceccd@{PI}: it does not run" in told["lines"][0]
    finally:
        lab.run(PI, "systemctl start agentfleet-iceccd")
    for _ in range(6):  # its daemon is back at the scheduler
        if len(heard(lab, "/hook")) == 2:
            break
        look(lab)
    _, back = map(json.loads, heard(lab, "/hook"))
    assert f"ok again: service iceccd@{PI}: it runs" in back["lines"]
    look(lab)
    assert len(heard(lab, "/hook")) == 2
    assert len(heard(lab, "/beat")) >= 5


def test_the_page_shows_the_latest_round(lab: Lab) -> None:
    found = look(lab)
    ask = (
        "curl -fsS --unix-socket /run/agentfleet-orchestrator/api.sock "
        "-H 'X-Agentfleet-Who: test' http://localhost"
    )
    ended = json.loads(lab.run(BOSS, f"cat {STATE}").stdout)["ended"]
    deadline = time.monotonic() + 40
    while True:
        said = json.loads(lab.run(BOSS, f"{ask}/api/v1/health").stdout)
        if said["ended"] == ended:
            break
        assert time.monotonic() < deadline, said
        time.sleep(2)
    assert {one["name"] for one in said["items"]} == set(found)
    assert (said["monitored"], said["silent"]) == (True, "")
    assert "Everything is well." in lab.run(BOSS, f"{ask}/health").stdout
    metrics = lab.run(BOSS, f"{ask}/metrics").stdout
    assert f'agentfleet_health_item{{host="{PI}",kind="disk"}} 0.0' in metrics
    assert "agentfleet_health_age_seconds" in metrics


def test_a_check_sees_that_no_round_starts(lab: Lab) -> None:
    lab.run(BOSS, "systemctl stop agentfleet-health.timer")
    try:
        done = fleet("check", "--only", "monitoring", "--json")
        (one,) = json.loads(done.stdout)
        assert (one["verdict"], done.returncode) == ("failed", 1)
        assert "does not run" in one["evidence"]
        assert f"fleet logs {BOSS} agentfleet-health" in one["advice"]
    finally:
        lab.run(BOSS, "systemctl start agentfleet-health.timer")
    (one,) = json.loads(fleet("check", "--only", "monitoring", "--json").stdout)
    assert one["verdict"] == "ok", one
