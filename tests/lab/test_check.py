"""`fleet check` on the lab: all green, then faults, each of which turns its own item red alone."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from lab.api import Lab
from tests.lab.runs import fleet

BOSS = "arch-orchestrator"
GUEST = "iceccd -n home -N guest -s {boss} --no-remote -b /tmp/guest -l /dev/null"
SHUT = """nft add table inet fault
nft add chain inet fault in '{ type filter hook input priority -300; }'
nft add rule inet fault in tcp dport 3284 drop"""
LATE = "#!/bin/sh\\necho 1000000000\\n"
SETTLE_S = 90.0  # a daemon that was restarted is back at the scheduler, a page has asked everybody


def check(*words: str) -> dict[str, dict[str, Any]]:
    """Every item by name."""
    done = fleet("check", "--json", *words)
    assert "Traceback" not in done.stderr, done.stderr
    found = {one["item"]: one for one in json.loads(done.stdout)}
    failed = any(one["verdict"] == "failed" for one in found.values())
    asleep = any(one["verdict"] == "pending" for one in found.values())
    assert done.returncode == (1 if failed else 3 if asleep else 0), done.stderr
    return found


def red(found: dict[str, dict[str, Any]]) -> set[str]:
    """What has failed, or waits for a host."""
    return {name for name, one in found.items() if one["verdict"] in ("failed", "pending")}


def settles(wanted: set[str], *words: str) -> dict[str, dict[str, Any]]:
    """The items, once just those are red."""
    deadline = time.monotonic() + SETTLE_S
    while red(found := check(*words)) != wanted:
        said = {name: found[name]["evidence"] for name in red(found) ^ wanted if name in found}
        assert time.monotonic() < deadline, (red(found), said)
        time.sleep(3)
    return found


def test_all_is_well(lab: Lab) -> None:
    found = settles(set())
    names = [host.name for host in lab.fleet.hosts]
    assert {f"reached@{name}" for name in names} <= set(found)
    assert {f"node@{name}" for name in names} <= set(found)
    agents = [host.name for host in lab.fleet.hosts if host.is_agent]
    for name in agents:
        assert found[f"agent@{name}"]["evidence"].startswith('/status answers 200 {"')
        assert f"registered@{name}" in found
    said = fleet("check")
    assert said.returncode == 0
    assert f"{len(found)} items: {len(found)} ok\n" in said.stdout


def test_faults_on_many_hosts_turn_their_own_items_red(lab: Lab) -> None:
    address = lab.fleet.host(BOSS).addresses.tailnet
    lab.run("rpi1", "systemctl stop agentfleet-iceccd")
    lab.run("rpi2", "systemctl stop agentfleet-agentapi")
    lab.run("rpi3", SHUT)
    lab.run("imac", "mv /opt/agentfleet/claude-code /opt/agentfleet/claude-code.away")
    lab.run("macbook1", f"printf '{LATE}' >/usr/local/bin/date; chmod +x /usr/local/bin/date")
    lab.run("windows-desktop", f"systemd-run --unit=guest {GUEST.format(boss=address)}")
    lab.limit_disk("macbook2", "/var/db/agentfleet/icecc", 1 << 20)
    lab.run("macbook2", "head -c 2M /dev/zero >/var/db/agentfleet/icecc/full || true")
    lab.tailnet.expire_node(BOSS, 3)
    lab.poweroff("windows-laptop")
    wanted = {
        "service iceccd@rpi1": "fleet logs rpi1 iceccd",
        "service agentapi@rpi2": "fleet logs rpi2 agentapi",
        "agent@rpi3": "fleet logs rpi3 agentapi",
        "versions@imac": "fleet apply --limit imac",
        "clock@macbook1": "timedatectl",
        "disk@macbook2": "make room",
        "scheduler": "fleet workers",
        "reached@windows-laptop": "",
    }
    try:
        found = settles(set(wanted))
        for name, advice in wanted.items():
            assert advice in found[name]["advice"], found[name]
        assert found["reached@windows-laptop"]["verdict"] == "pending"
        assert found[f"tailnet@{BOSS}"]["verdict"] == "warning"
        assert found["node@rpi1"]["evidence"] == "see service iceccd"
        assert found["agent@rpi2"]["evidence"] == "see service agentapi"
        assert "guest" in found["scheduler"]["evidence"]
        only = check("--only", "rpi1")
        assert {one["host"] for one in only.values()} == {"rpi1"}
    finally:
        lab.poweron("windows-laptop")
        lab.tailnet.expire_node(BOSS, 180)
        lab.unlimit_disk("macbook2", "/var/db/agentfleet/icecc")
        lab.run("windows-desktop", "systemctl stop guest")
        lab.run("macbook1", "rm /usr/local/bin/date")
        lab.run("imac", "mv /opt/agentfleet/claude-code.away /opt/agentfleet/claude-code")
        lab.run("rpi3", "nft delete table inet fault")
    assert fleet("apply", "--yes").returncode == 0
    settles(set())


def test_services_of_the_orchestrator_and_a_damaged_file(lab: Lab) -> None:
    """What only follows from a service that is down is not red itself."""
    damaged = lab.run("rpi2", "ls /opt/icecc-envs/*.tar.zst | head -n 1").stdout.strip()
    assert damaged
    lab.run("rpi2", f"printf X | dd of={damaged} bs=1 seek=100 conv=notrunc status=none")
    for unit in ("icecc-scheduler", "orchestrator"):
        lab.run(BOSS, f"systemctl stop agentfleet-{unit}")
    wanted = {f"service icecc-scheduler@{BOSS}", f"service orchestrator@{BOSS}", "files@rpi2"}
    found = settles(wanted, "--deep")
    assert damaged in found["files@rpi2"]["evidence"]
    assert found["scheduler"]["verdict"] == "unknown"
    assert found["page"]["verdict"] == "unknown"
    lab.run("rpi2", f"rm {damaged}")
    assert fleet("apply", "--yes").returncode == 0
    settles(set(), "--deep")


def test_the_orchestrator_is_off(lab: Lab) -> None:
    lab.poweroff(BOSS)
    try:
        found = check()
        assert red(found) == {f"reached@{BOSS}", "orchestrator"}
        assert found["service iceccd@rpi1"]["verdict"] == "ok", "the rest is judged"
    finally:
        lab.poweron(BOSS)


@pytest.mark.parametrize("word", ["rpi9", "agnet"])
def test_a_typo_gets_a_guess(lab: Lab, word: str) -> None:
    done = fleet("check", "--only", word)
    assert done.returncode == 64
    assert "did you mean" in done.stderr
