"""The Windows around a WSL host, on the lab: brought there once, mended where it differs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleet.plan import view_of
from fleet.target import Target
from fleet.windows import windows_side
from lab.api import Lab
from tests.lab.runs import Run, converge, fleet

HOST = "windows-desktop"
STATE = "/var/lib/standin/windows.json"
CONFIG = "/mnt/c/Users/owner/.wslconfig"
LIMITED = ("--limit", HOST)
pytestmark = pytest.mark.lab


def known(lab: Lab) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.run(HOST, f"cat {STATE}").stdout)
    return found


def tell(lab: Lab, **more: Any) -> None:
    """Change what the stand-in for Windows knows."""
    text = json.dumps(known(lab) | more)
    lab.run(HOST, f"cat >{STATE} <<'END'\n{text}\nEND")


def mended(lab: Lab) -> Run:
    """A run that leaves nothing to do."""
    run = converge(*LIMITED)
    assert run.code == 0, run.output
    assert converge(*LIMITED, dry=True).changes == {}
    return run


def test_the_first_run_brought_windows_there(lab: Lab, target: Target) -> None:
    side, there = windows_side(view_of(target, HOST)), known(lab)
    for rule in side.rules:
        made = there["rules"][rule.name]
        assert made["LocalPorts"] == [str(port) for port in rule.ports]
        assert made.get("RemoteAddresses", []) == list(rule.sources)
    assert there["tasks"][side.keep_alive]["State"] == "Running"
    assert {program.name for program in side.programs} <= set(there["programs"])


def test_a_run_that_changes_nothing_asks_windows_once(lab: Lab) -> None:
    count = "wc -l </var/lib/standin/powershell.log"
    before = int(lab.run(HOST, count).stdout)
    run = converge(*LIMITED)
    assert (run.code, run.changes) == (0, {}), run.output
    assert int(lab.run(HOST, count).stdout) == before + 1


def test_what_differs_is_planned_and_mended(lab: Lab) -> None:
    there = known(lab)
    del there["rules"]["agentfleet-tailnet"]
    there["tasks"]["agentfleet-keep-alive"]["State"] = "Ready"
    tell(lab, **there)
    dry = converge(*LIMITED, dry=True)
    assert dry.changes == {
        HOST: [
            "windows: firewall rule agentfleet-tailnet: create: TCP 3284, 10245 from "
            "100.64.0.0/10, fd7a:115c:a1e0::/48",
            "windows: scheduled task agentfleet-keep-alive: start, it is ready",
        ]
    }
    assert mended(lab).changes == dry.changes


def test_behind_nat_it_takes_no_jobs_until_networking_is_mirrored_again(lab: Lab) -> None:
    """The run that finds it learns that and mends the file; the next learns that it helped."""
    lab.run(HOST, f"printf '[wsl2]\\r\\nmemory=8GB\\r\\n' >{CONFIG}")
    first = converge("--diff", *LIMITED)
    assert first.code == 0, first.output
    assert "file .wslconfig: content" in first.changes[HOST]
    assert "+networkingMode=mirrored" in first.output
    assert "so that the scheduler cannot connect to this host" in first.output
    assert "--no-remote" in lab.run(HOST, "pgrep -af iceccd").stdout
    assert lab.run(HOST, f"cat {CONFIG}").stdout.split() == [
        "[wsl2]",
        "networkingMode=mirrored",
        "memory=8GB",
    ]
    mended(lab)
    assert "--no-remote" not in lab.run(HOST, "pgrep -af iceccd").stdout


def test_its_name_in_the_tailnet_comes_back(lab: Lab) -> None:
    program = "'/mnt/c/Program Files/Tailscale/tailscale.exe'"
    lab.run(HOST, f"WSL_INTEROP=/run/WSL/1_interop {program} set --hostname=desktop-7 </dev/null")
    run = mended(lab)
    assert run.changes == {HOST: [f"tailnet: name desktop-7 → {HOST}"]}


def test_a_windows_that_does_not_answer_waits_and_the_rest_goes_on(lab: Lab) -> None:
    lab.run(HOST, "systemctl stop standin-interop.socket")
    lab.run(HOST, "rm /etc/systemd/journald.conf.d/agentfleet.conf")
    try:
        run = converge(*LIMITED)
        assert run.code == 0, run.output
        assert "Windows does not answer: no socket of a session" in run.output
        assert any("journald.conf.d" in line for line in run.changes[HOST])
        assert fleet("plan", *LIMITED).returncode == 2, "it is pending"
    finally:
        lab.run(HOST, "systemctl start standin-interop.socket")
    mended(lab)


def test_without_rights_on_windows_a_run_says_whom_it_takes(lab: Lab) -> None:
    there = known(lab)
    del there["rules"]["agentfleet-ssh"]
    tell(lab, **there, environment={"standin_elevated": "no"})
    run = converge(*LIMITED)
    assert (run.code, any(run.changes.values())) == (0, False), run.output
    assert "that takes an administrator of Windows" in run.output
    tell(lab, environment={})
    mended(lab)
