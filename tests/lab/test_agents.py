"""The agents: who reaches them, what they may spend, and that they come back whatever happens."""

from __future__ import annotations

import json
import shlex
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.api import Lab
from lab.pins import ANOTHER
from tests.lab.agents import (
    ORCHESTRATOR,
    SERVICE,
    answer,
    begin,
    curl,
    idle,
    say,
    spent,
    status,
    until,
    url,
)
from tests.lab.runs import converge, fleet
from tests.lab.secrecy import holding

REMOTE = ("macbook1", "imac", "rpi1", "rpi2", "rpi3")
# Dollars, of `usage=2000/90000` with the model that Claude Code takes. Of what comes out: were
# the prompt said to be that long, Claude Code would make a summary of it and begin anew.
CALL, USED = 1.81, [2000, 90_000]
PI, MAC = "rpi1", "imac"


def test_the_orchestrators_service_reaches_every_agent_and_nobody_else_does(lab: Lab) -> None:
    for name in (*REMOTE, "localhost"):
        idle(lab, name)
        done = curl(lab, url(lab, name, "/status"))
        assert json.loads(done.stdout)["agent_type"] == "claude", name
    for user in ("icecc", "claude-agent", "nobody"):
        for name in ("localhost", PI, MAC):
            assert curl(lab, url(lab, name, "/status"), user=user).returncode, (user, name)
    for other in ("rpi2", "macbook1", "windows-desktop"):
        done = curl(lab, "-m", "5", url(lab, PI, "/status"), host=other, user="root")
        assert done.returncode, other
    for host in lab.fleet.hosts:
        assert not _opens(host.addresses.lan or "", 3284), host.name


def _opens(address: str, port: int) -> bool:
    """Whether somebody on the LAN, which this machine is on, gets in."""
    try:
        socket.create_connection((address, port), timeout=0.8).close()
    except OSError:
        return False
    return True


def test_another_name_for_the_host_is_refused(lab: Lab) -> None:
    address = lab.fleet.host(PI).addresses.tailnet
    assert curl(lab, f"http://{address}:3284/status").returncode == 0
    done = curl(lab, "-H", "Host: evil.example", f"http://{address}:3284/status")
    assert "400" in done.stderr


def test_the_message_of_the_readme_works(lab: Lab) -> None:
    """On real Claude Code: its Bash lists what is in its directory."""
    lab.run(ORCHESTRATOR, "touch /var/lib/claude-agent/work/a-file-of-the-test")
    for name in ("localhost", MAC):
        say(lab, name, "List files in the current directory")
    assert "a-file-of-the-test" in answer(lab, "localhost")
    assert "the lab's Claude" in answer(lab, MAC)


def test_workstations_have_it_and_it_is_off(lab: Lab) -> None:
    said = lab.run("windows-desktop", "systemctl is-enabled agentfleet-agentapi", check=False)
    assert said.stdout.strip() == "disabled"
    assert not lab.run("windows-desktop", "ls /opt/agentfleet/agentapi/*/agentapi").returncode
    job = "launchctl print system/org.agentfleet.agentapi"
    assert lab.run("macbook2", job, check=False).returncode


def test_the_key_is_on_the_orchestrator_alone(lab: Lab) -> None:
    key = lab.anthropic.key
    where = f"{ORCHESTRATOR}:/etc/agentfleet/secrets/anthropic_api_key"
    assert holding(lab, key) == {where}
    assert (
        lab.run(ORCHESTRATOR, f"stat -c '%a %U' {where.partition(':')[2]}").stdout == "400 root\n"
    )
    for host in (ORCHESTRATOR, PI):
        every = "for p in $(pgrep -u claude-agent); do tr '\\0' '\\n' </proc/$p/environ; done"
        found = lab.run(host, every).stdout
        assert "ANTHROPIC_AUTH_TOKEN=agentfleet-" in found, host
        assert key not in found, host


# money


@pytest.mark.parametrize(("name", "cap", "usage"), [(ORCHESTRATOR, 20, 4), (PI, 5, 1)])
def test_a_loop_ends_within_one_call_of_its_cap(lab: Lab, name: str, cap: int, usage: int) -> None:
    """Real Claude Code, on three kinds of host: stopped by its gate, refused with the reason."""
    begin(name)
    lab.anthropic.forget()
    at = "localhost" if name == ORCHESTRATOR else name
    say(lab, at, f"loop usage=2000/{usage * 90_000}")
    until(lambda: spent(lab, name)["spent"] >= cap)
    said = answer(lab, at)
    found = spent(lab, name)
    assert cap <= found["spent"] <= cap + usage * CALL + 0.1
    assert "hook stopped" in said
    assert f"of its ${cap}.00" in " ".join(said.split())
    calls = len(lab.anthropic.requests())
    say(lab, at, "say that it goes on")
    assert "budget: this session has spent" in " ".join(answer(lab, at).split())
    assert len(lab.anthropic.requests()) == calls, "nothing more was asked"
    assert fleet("budget").returncode == 2


def _five(lab: Lab, name: str, environment: str, seconds: int) -> None:
    """Root starts five of them, without the hooks that its user's settings would bring."""
    prompt = shlex.quote("loop usage=2000/90000")
    one = (
        f"cd /tmp && timeout {seconds} runuser -u claude-agent -- env HOME=/tmp/five.$n "
        f"SHELL=/bin/bash {environment} claude -p --dangerously-skip-permissions {prompt} "
        "</dev/null >/tmp/five.$n.out 2>&1"
    )
    homes = "for n in 1 2 3 4 5; do install -d -o claude-agent /tmp/five.$n; done"
    lab.run(
        name,
        f"{homes}\nfor n in 1 2 3 4 5; do ( {one} ) & done; wait; true",
        timeout=seconds + 60,
    )


@contextmanager
def _without_a_gate(lab: Lab, name: str) -> Iterator[None]:
    lab.run(name, "rm -r /etc/claude-code /usr/local/libexec/agentfleet/budget-gate")
    try:
        yield
    finally:
        assert converge("--limit", name).code == 0


def test_root_without_its_gate_is_cut_off_by_the_gateway(lab: Lab) -> None:
    begin(PI)
    lab.anthropic.forget()
    shown = "ANTHROPIC_AUTH_TOKEN=$(cat /var/lib/agentfleet/agent/token)"
    base = "ANTHROPIC_BASE_URL=$(sed -n 's/.*ANTHROPIC_BASE_URL=//p' " + UNIT + ")"
    with _without_a_gate(lab, PI):
        _five(lab, PI, f"{base} {shown}", 170)
    found = spent(lab, PI)
    assert 5 <= found["spent"] <= 5 + 5 * CALL + 0.5, found
    said = lab.run(PI, "cat /tmp/five.*.out").stdout
    assert "API Error: 402 budget: this session has spent" in said


UNIT = "/etc/systemd/system/agentfleet-agentapi.service"


def test_without_gate_and_gateway_there_would_be_no_end(lab: Lab) -> None:
    """That the tests above can fail: the same five, with the key itself, spend without bound."""
    lab.anthropic.forget()
    key, there = lab.anthropic.key, lab.place.anthropic_url
    with _without_a_gate(lab, ORCHESTRATOR):
        _five(lab, ORCHESTRATOR, f"ANTHROPIC_BASE_URL={there} ANTHROPIC_API_KEY={key}", 15)
    lab.run(ORCHESTRATOR, "rm -rf /tmp/five.*")
    calls = [one for one in lab.anthropic.requests() if one["used"] == USED]
    assert len(calls) * CALL > 5 + 5 * CALL


def test_a_killed_session_is_over_at_once(lab: Lab) -> None:
    begin(MAC)
    say(lab, MAC, "slow 20")
    killed = fleet("kill", MAC, "--json")
    assert [one["host"] for one in json.loads(killed.stdout)["revoked"]] == [MAC]
    idle(lab, MAC)
    say(lab, MAC, "say anything")
    assert "none of a session" in " ".join(answer(lab, MAC).split())
    assert fleet("kill").returncode == 64
    assert "no agent runs on macbook2" in fleet("kill", "macbook2").stderr
    begin(MAC)
    say(lab, MAC, "say that all is well")
    assert "that all is well" in answer(lab, MAC)


# sessions


@pytest.mark.parametrize("name", [MAC, ORCHESTRATOR])
def test_nothing_of_a_session_is_left_for_the_next(lab: Lab, name: str) -> None:
    home = lab.run(name, "eval echo ~claude-agent").stdout.strip()
    old = lab.run(name, f"cat {_state(lab, name)}/session").stdout
    lab.run(name, f"cd {home} && touch work/secret .bash_history && mkdir -p .claude/memory")
    begin(name)
    assert lab.run(name, f"cat {_state(lab, name)}/session").stdout != old
    assert lab.run(name, f"ls -A {home}/work").stdout == ""
    left = lab.run(name, f"ls -A {home}").stdout.split()
    assert ".bash_history" not in left
    assert lab.run(name, f"find {home}/sessions -name secret | grep -c .").stdout == "1\n"
    assert spent(lab, name)["spent"] < 0.2


def _state(lab: Lab, name: str) -> str:
    top = "/var/db/agentfleet" if lab.fleet.host(name).is_mac else "/var/lib/agentfleet"
    return f"{top}/agent"


def test_the_orchestrators_key_opens_agentctl_and_nothing_else(lab: Lab) -> None:
    known = "-o UserKnownHostsFile=/etc/agentfleet/known_hosts -o BatchMode=yes"
    place = lab.fleet.host(PI).addresses.tailnet
    ssh = f"sudo -u {SERVICE} ssh -F /dev/null {known} -o HostKeyAlias={PI} "
    ssh += "-i /var/lib/agentfleet-orchestrator/.ssh/id_ed25519 "
    there = f"agentfleet-ctl@{place}"
    said = json.loads(lab.run(ORCHESTRATOR, f"{ssh}{there} status").stdout)
    assert said["service"] == "running"
    left = json.loads(lab.run(ORCHESTRATOR, f"{ssh}{there} spent").stdout)
    assert (left["host"], left["cap"]) == (PI, 5)
    for words in ("id", "'status; id'", "'$(id)'", ""):
        done = lab.run(ORCHESTRATOR, f"{ssh}{there} {words} </dev/null", check=False)
        assert done.returncode == 64, words
        assert "uid=" not in done.stdout + done.stderr
    forward = lab.run(ORCHESTRATOR, f"{ssh} -N -W 127.0.0.1:22 {there} </dev/null", check=False)
    assert forward.returncode
    other = lab.run(PI, f"sudo -u nobody ssh -o BatchMode=yes {there} status", check=False)
    assert other.returncode == 255


# faults


@pytest.mark.parametrize("name", ["localhost", MAC])
def test_an_agent_that_is_killed_is_back(lab: Lab, name: str) -> None:
    idle(lab, name)
    host = ORCHESTRATOR if name == "localhost" else name
    find = "ps -A -o pid,args | grep '[/]agentapi server' | awk '{ print $1; exit }'"
    before = lab.run(host, find).stdout
    lab.run(host, f"kill -9 {before}")
    until(lambda: lab.run(host, find).stdout not in ("", before), 30)
    idle(lab, name)
    said = json.loads(fleet("budget", "--json").stdout)
    assert said["hosts"], "and the gateway is none the wiser"


def test_after_a_power_cut_the_same_session_goes_on(lab: Lab) -> None:
    names = (ORCHESTRATOR, "macbook1")
    before = {name: lab.run(name, f"cat {_state(lab, name)}/session").stdout for name in names}
    for name in names:
        lab.poweroff(name)
    for name in names:
        lab.poweron(name)
    say(lab, "localhost", "say that it is back")
    assert "that it is back" in answer(lab, "localhost")
    say(lab, "macbook1", "say that it is back")
    assert "that it is back" in answer(lab, "macbook1")
    after = {name: lab.run(name, f"cat {_state(lab, name)}/session").stdout for name in names}
    assert after == before
    assert converge(*(w for name in names for w in ("--limit", name))).changes == {}


def test_an_upgrade_waits_for_an_agent_at_work(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    say(lab, MAC, "slow 40")
    monkeypatch.setenv(ANOTHER, "the next version")
    run = converge("--limit", MAC)
    assert run.code == 0, run.output
    assert any("program claude-code" in line for line in run.changes[MAC])
    assert "restart pending until it is idle: /usr/local/bin/claude changed" in run.output
    assert "That took its time" in answer(lab, MAC)
    until(lambda: status(lab, MAC) == "stable")
    run = converge("--limit", MAC)
    (line,) = run.changes[MAC]
    assert "restart: /usr/local/bin/claude changed" in line
    assert converge("--limit", MAC).changes == {}
    monkeypatch.delenv(ANOTHER)
    assert converge("--limit", MAC).code == 0


def test_a_pi_with_a_32_bit_system_fails_alone(lab: Lab) -> None:
    lab.run("rpi3", "mv /usr/bin/dpkg /usr/bin/dpkg.real")
    lab.run("rpi3", "printf '#!/bin/sh\\necho armhf\\n' >/usr/bin/dpkg; chmod +x /usr/bin/dpkg")
    try:
        run = converge("--limit", "rpi3", "--limit", "rpi2")
        assert run.code == 1
        assert "the userland is armhf, the kernel aarch64: install the 64-bit image" in run.output
        assert run.changes == {}
        assert "Traceback" not in run.output
    finally:
        lab.run("rpi3", "mv /usr/bin/dpkg.real /usr/bin/dpkg")


def test_an_agents_mac_without_brew_and_port_fails_alone(lab: Lab) -> None:
    manager = lab.run(MAC, "ls /usr/local/bin/brew /opt/local/bin/port 2>/dev/null | head -n 1")
    place = manager.stdout.strip()
    lab.run(MAC, f"mv {place} {place}.away")
    try:
        run = converge("--limit", MAC, "--limit", "rpi2")
        assert run.code == 1
        assert "it needs jq, and this Mac has neither Homebrew nor MacPorts" in run.output
        assert "Traceback" not in run.output
        assert not run.changes.get("rpi2")
    finally:
        lab.run(MAC, f"mv {place}.away {place}")
    assert converge("--limit", MAC).changes == {}


@pytest.mark.parametrize(("unit", "most"), [("gateway", 2.0), ("agentapi", 4.5)])
def test_what_need_not_be_root_is_hardened(lab: Lab, unit: str, most: float) -> None:
    """systemd's own measure: 0 is best, 10 nothing at all."""
    said = lab.run(
        ORCHESTRATOR, f"systemd-analyze security --no-pager agentfleet-{unit} | tail -n 1"
    ).stdout
    exposure = float(said.split(": ")[1].split()[0])
    assert exposure <= most


def test_memory_is_limited_where_an_agent_runs(lab: Lab) -> None:
    total = int(lab.run(PI, "awk '/^MemTotal/ { print $2 }' /proc/meminfo").stdout) * 1024
    said = lab.run(PI, "systemctl show -p MemoryMax --value agentfleet-agentapi").stdout
    assert int(said) == pytest.approx(total * 0.75, rel=0.02)


def test_after_all_that_nothing_is_left_to_do(lab: Lab) -> None:
    time.sleep(1)
    run = converge()
    assert run.code == 0, run.output
    assert run.changes == {}
