"""The tailnet: joined once, learned, healed after a wipe, and never asked for a key again."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import pytest

from fleet.lock import read_fleet_lock
from lab.api import Lab
from tests.lab.runs import converge, fleet
from tests.lab.secrecy import holding, watch_processes

WIPED = "rpi3"
TWICE = "macbook2"  # quick to converge, and without a session, which waits for the orchestrator


def test_hosts_are_in_the_tailnet_under_their_names_and_tags(lab: Lab) -> None:
    nodes = {node.name: node for node in lab.tailnet.nodes()}
    tags = {"orchestrator": "tag:orchestrator", "headless-mac": "tag:headless-mac", "pi": "tag:pi"}
    for host in lab.fleet.hosts:
        node = nodes[host.name]
        tag = tags.get(host.role.value)
        assert list(node.tags) == ([tag] if tag else []), host.name
        assert (node.ipv4, node.ipv6) == (host.addresses.tailnet, host.addresses.tailnet6)


def test_a_run_needs_no_auth_key_once_all_have_joined(lab: Lab) -> None:
    lab.tailnet.expire_key()
    key = lab.place.auth_key
    try:
        kept = key.read_text()
        key.unlink()  # nobody could even ask for it
        run = converge()
        assert run.code == 0, run.output
        assert run.changes == {}
        key.write_text(kept)
        assert converge().changes == {}
    finally:
        lab.tailnet.new_key()


def test_what_was_stopped_or_renamed_is_mended_without_a_key(lab: Lab) -> None:
    lab.tailnet.expire_key()
    try:
        lab.run("rpi1", "tailscale down")
        lab.run("arch-orchestrator", "tailscale set --hostname=somebody")
        run = converge("--limit", "rpi1", "--limit", "arch-orchestrator")
        assert run.code == 0, run.output
        assert run.changes == {
            "rpi1": ["tailnet: connect again, it was stopped"],
            "arch-orchestrator": ["tailnet: name somebody → arch-orchestrator"],
        }
        assert converge("--limit", "rpi1", "--limit", "arch-orchestrator").changes == {}
    finally:
        lab.tailnet.new_key()


@pytest.mark.long
def test_a_host_that_was_wiped_is_healed_by_one_run(lab: Lab) -> None:
    """It gets a new address: its own services and everybody's wall follow, in the same run."""
    before = lab.fleet.host(WIPED).addresses.tailnet
    lab.reset([WIPED])
    lab.tailnet.remove(WIPED)  # what the owner does in the admin console
    key = lab.place.auth_key.read_text().strip()
    stop, seen = threading.Event(), list[str]()
    watcher = threading.Thread(target=watch_processes, args=(key, stop, seen))
    watcher.start()
    try:
        run = converge("-vvv", "--diff")
    finally:
        stop.set()
        watcher.join()
    assert run.code == 0, run.output
    after = read_fleet_lock(lab.place.fleet_lock).tailnet_ipv4(WIPED)
    assert after
    assert after != before
    assert f"its address in the tailnet is {after}, noted in fleet.lock.yaml" in run.changes[WIPED]
    for host in lab.fleet.hosts:
        name = "wall.pf" if host.is_mac else "wall.nft"
        rules = lab.run(host.name, f"cat /etc/agentfleet/{name}").stdout
        assert after in rules, host.name
        assert not re.search(rf"{before}[^0-9]", rules), host.name
    assert converge().changes == {}
    # The key that let it in is nowhere but here.
    assert seen == []
    assert key not in run.output + json.dumps(run.changes)
    assert holding(lab, key) == set()


@pytest.mark.long
def test_a_name_that_another_machine_has_is_said_and_then_taken(lab: Lab) -> None:
    lab.reset([TWICE])
    run = converge("--limit", TWICE)
    assert run.code == 0, run.output
    said = fleet("status", "--json")
    (found,) = [one for one in json.loads(said.stdout)["hosts"] if one["host"] == TWICE]
    (line,) = found["differences"]
    assert f"is called {TWICE}-1, since another machine there is {TWICE}" in line
    lab.tailnet.remove(TWICE)
    run = converge("--limit", TWICE)
    assert run.changes == {TWICE: [f"tailnet: name {TWICE}-1 → {TWICE}"]}
    assert converge().code == 0


def test_a_key_that_expires_soon_is_told(lab: Lab) -> None:
    lab.tailnet.expire_node("macbook2", days=9)
    try:
        said = fleet("status", "--json")
        (found,) = [o for o in json.loads(said.stdout)["hosts"] if o["host"] == "macbook2"]
        (line,) = found["differences"]
        assert "its key expires on" in line
        assert said.returncode == 2
    finally:
        lab.tailnet.expire_node("macbook2", days=180)


def test_a_key_that_is_refused_fails_that_host_alone(lab: Lab) -> None:
    lab.tailnet.expire_key()
    try:
        lab.run("rpi2", "tailscale logout")
        run = converge("--limit", "rpi2", "--limit", "rpi1")
        assert run.code == 1
        assert "could not join the tailnet" in run.output
        assert set(run.changes) == {"rpi2"}
        assert (
            lab.run("rpi2", "ls /var/run/agentfleet/join.* 2>/dev/null", check=False).stdout == ""
        )
    finally:
        lab.tailnet.new_key()
    assert converge("--limit", "rpi2").code == 0
    assert converge().changes == {}


def test_without_a_key_a_logged_out_host_is_not_touched(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which host needs it and how to set it, before anything is changed."""
    lab.run("imac", "/usr/local/bin/tailscale logout || /opt/local/bin/tailscale logout")
    lab.run("imac", "rm /usr/local/libexec/agentfleet/stamp")
    key = lab.place.auth_key
    kept = key.rename(key.with_name("kept"))
    try:
        run = converge("--limit", "imac")
        assert run.code == 1
        assert "imac needs this secret" in run.output
        assert run.changes == {}
    finally:
        Path(kept).rename(key)
    assert converge("--limit", "imac").code == 0


def test_the_tailnet_itself_takes_what_fleet_policy_prints(lab: Lab, tmp_path: Path) -> None:
    printed = fleet("policy")
    assert printed.returncode == 0, printed.stderr
    file = tmp_path / "policy.hujson"
    file.write_text(printed.stdout)
    assert fleet("policy", "--check", str(file)).returncode == 0
    file.write_text("{}")
    assert fleet("policy", "--check", str(file)).returncode == 2
