"""Nobody but an operator is let in to the orchestrator, whatever they call themselves or it."""

from __future__ import annotations

import shlex

import pytest

from fleet.target import Target
from lab.api import Lab
from tests.lab import desk
from tests.lab.agents import ORCHESTRATOR

AS_FOUND = "test_orchestrator"
PORT = 8080
STATE = "/var/lib/agentfleet-orchestrator"
DEVICE = "macbook2"  # an operator's
CLAIMS = (
    "Tailscale-User-Login: alice@example.com",
    "X-Webauth-User: alice",
    "X-Forwarded-For: 100.64.0.1",
    "Forwarded: for=100.64.0.1",
    "X-Real-IP: 100.64.0.1",
    "X-Agentfleet-Who: alice",
)
OTHERS = ("claude-agent", "icecc", "nobody")


def asked(lab: Lab, host: str, url: str, *words: str, user: str = "") -> str:
    """The status of the answer; 000 where none came."""
    command = ["curl", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", *words, url]
    become = as_user(user) if user else ""
    return str(lab.run(host, f"{become} {shlex.join(command)}", check=False).stdout)


def as_user(name: str) -> str:
    """What stands before a command that this account runs."""
    return f"setpriv --reuid={name} --regid=$(id -g {name}) --clear-groups"


def claimed(*more: str) -> tuple[str, ...]:
    return tuple(word for claim in (*CLAIMS, *more) for word in ("-H", claim))


@pytest.fixture(scope="module")
def address(lab: Lab, target: Target) -> str:
    """The page's in the tailnet, once it answers."""
    desk.all_idle(target)
    return lab.fleet.orchestrator.addresses.tailnet or ""


def test_an_operators_device_needs_no_login(lab: Lab, address: str) -> None:
    """That the tests below can fail."""
    assert asked(lab, DEVICE, f"http://{address}:{PORT}/api/v1/agents") == "200"
    assert asked(lab, DEVICE, f"http://{ORCHESTRATOR}:{PORT}/") == "200"


def test_a_name_that_is_not_its_own_is_refused_to_everybody(lab: Lab, address: str) -> None:
    """A page of somebody else's site, whose name they let point here, gets nothing."""
    for host in ("evil.example", f"evil.example:{PORT}", f"{address}.evil.example", ""):
        words = ("-H", f"Host: {host}" if host else "Host;")
        there = f"http://{address}:{PORT}/api/v1/agents"
        assert asked(lab, DEVICE, there, *words) == "421", host
        here = f"http://127.0.0.1:{PORT}/healthz"
        assert asked(lab, ORCHESTRATOR, here, *words, user="nobody") == "421", host
    origin = ("-X", "POST", "-H", "Origin: http://evil.example")
    assert asked(lab, DEVICE, f"http://{address}:{PORT}/api/v1/kill", *origin) == "403"


@pytest.mark.parametrize("user", OTHERS)
def test_claims_open_no_door_to_another_account_of_the_box(
    lab: Lab, address: str, user: str
) -> None:
    forged = claimed("Authorization: Bearer x")
    # The wall lets compile jobs not even ask.
    here, itself = ("000", "000") if user == "icecc" else ("401", "403")
    for path in ("/", "/healthz", "/metrics", "/api/v1/tasks", "/api/openapi.json", "/static/x"):
        for place, expected in (("127.0.0.1", here), (address, itself)):
            url = f"http://{place}:{PORT}{path}"
            assert asked(lab, ORCHESTRATOR, url, *forged, user=user) == expected, url
    socket = ("--unix-socket", "/run/agentfleet-orchestrator/api.sock")
    assert asked(lab, ORCHESTRATOR, "http://x/healthz", *socket, *forged, user=user) == "000"
    assert asked(lab, ORCHESTRATOR, "http://x/healthz", *socket) == "200", "to root it is open"


def test_from_its_own_address_the_orchestrator_is_nobody(lab: Lab, address: str) -> None:
    """Not even root, who could read the token all the same: a host is no person."""
    url = f"http://{address}:{PORT}/api/v1/agents"
    assert asked(lab, ORCHESTRATOR, url, *claimed()) == "403"
    assert asked(lab, "rpi1", url, *claimed()) == "403"


def test_what_it_keeps_is_read_by_nobody_else(lab: Lab, target: Target) -> None:
    """Tasks, the token of its door, the key that opens agents; and the backups on their host."""
    keeper = lab.fleet.backup_host
    assert keeper is not None
    kept = f"{STATE}/state/tasks.sqlite {STATE}/state/token {STATE}/.ssh/id_ed25519"
    kept += " /var/lib/agentfleet-gateway/ledger.sqlite /etc/agentfleet/secrets/anthropic_api_key"
    lab.run(ORCHESTRATOR, f"head -c 1 {kept} >/dev/null")
    desk.becomes(target, desk.send(target, "say hello", wish=desk.on("imac")), "done")
    lab.run(ORCHESTRATOR, "systemctl start agentfleet-backup.service")
    folder = lab.run(keeper.name, "dirname $(find / -xdev -name 'orchestrator-*.age' | head -n 1)")
    place = folder.stdout.strip()
    assert lab.run(keeper.name, f"ls {place}").stdout.strip()
    for user in OTHERS:
        for file in kept.split():
            refused(lab, ORCHESTRATOR, f"{as_user(user)} head -c 1 {file}")
        refused(lab, keeper.name, f"{as_user(user)} ls {place}")


def refused(lab: Lab, host: str, command: str) -> None:
    done = lab.run(host, command, check=False)
    assert done.returncode, command
    assert "Permission denied" in done.stderr, done.stderr
