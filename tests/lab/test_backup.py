"""The orchestrator's disk is lost: from the backup on a second host everything comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet import orchestrator
from fleet.target import Target
from lab.api import Lab
from tests.lab import desk
from tests.lab.agents import ORCHESTRATOR, until
from tests.lab.runs import converge, fleet

SECRET = "a prompt that nobody else may read"  # noqa: S105 - it is none
HELD, FREE = "macbook1", "imac"
BACK_UP = "systemctl start agentfleet-backup.service"


def with_code(target: Target, folder: Path) -> int:
    """A task that has changed code: its number."""
    desk.repository(folder)
    prompt = "run cd {code} && echo two >>notes"
    words = ("--host", ORCHESTRATOR, "--no-failover", "--repo", str(folder), "--wait")
    sent = fleet("task", "send", prompt, *words)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    return max(desk.all_tasks(target))


def kept(lab: Lab) -> str:
    """The newest backup: its name. Only its own host has it, and cannot read it."""
    lab.run(ORCHESTRATOR, BACK_UP)
    listed = fleet("restore", "--list")
    assert listed.returncode == 0, listed.stderr
    name = listed.stdout.split()[-1]
    keeper = lab.fleet.backup_host
    assert keeper is not None
    assert keeper.name != ORCHESTRATOR
    (file,) = lab.run(keeper.name, f"find / -xdev -name {name}").stdout.split()
    assert lab.run(keeper.name, f"head -c 21 {file}").stdout == "age-encryption.org/v1"
    packed = f"grep -c -a -e '{SECRET}' -e SQLite {file}"
    assert lab.run(keeper.name, packed, check=False).stdout == "0\n"
    return name


@pytest.mark.long
def test_a_lost_disk_loses_no_task(lab: Lab, target: Target, tmp_path: Path) -> None:
    desk.all_idle(target)
    timer = lab.run(ORCHESTRATOR, "systemctl is-active agentfleet-backup.timer")
    assert timer.stdout == "active\n"
    coded = with_code(target, tmp_path)
    said = desk.send(target, f"say {SECRET}", wish=desk.on(FREE))
    desk.becomes(target, said, "done")
    desk.kill(target, HELD)
    waits = desk.send(target, "say it was my turn", wish=desk.on(HELD))
    name = kept(lab)
    before = desk.all_tasks(target)
    assert before[waits]["state"] == "queued"

    lab.reset([ORCHESTRATOR])
    lab.tailnet.remove(ORCHESTRATOR)
    run = converge()
    assert run.code == 0, run.output
    until(lambda: desk.answers(target))
    assert desk.all_tasks(target) == {}
    blank = lab.run(ORCHESTRATOR, BACK_UP, check=False)
    assert blank.returncode, "a blank orchestrator's would be the newest backup"
    assert fleet("restore", "--list").stdout.split()[-1] == name

    done = fleet("restore", "--yes", "--key", str(lab.place.key))
    assert done.returncode == 0, done.stderr
    assert "1 of the tasks waited when it was made" in done.stdout
    until(lambda: desk.answers(target))
    after = desk.all_tasks(target)
    assert {n: desk.plain(one) for n, one in after.items()} == {
        n: desk.plain(one) for n, one in before.items()
    }
    assert SECRET in desk.said(target, said, "agent")
    fetched = fleet("task", "fetch", str(coded), "--repo", str(tmp_path))
    assert fetched.returncode == 0, fetched.stderr
    assert desk.git(tmp_path, "show", f"task-{coded}:notes") == "one\ntwo\n"
    assert after[waits]["state"] == "lost", "it may have been done since"
    assert "may have been done since" in after[waits]["reason"]

    orchestrator.api(target, "POST", f"{desk.API}/agents/{HELD}/session")
    assert fleet("task", "retry", str(waits)).returncode == 0
    assert desk.becomes(target, waits, "done")["attempt"] == 2
    again = desk.send(target, "say it goes on", wish=desk.on(FREE))
    assert again > max(before)
    desk.becomes(target, again, "done")
    assert kept(lab) > name
