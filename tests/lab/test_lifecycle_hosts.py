"""Hosts leave, are wiped, and the scheduler moves for a day: on real hosts, in this order."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

import pytest

from deploys.toolchains import row_path
from fleet import orchestrator
from fleet.lock import read_fleet_lock
from fleet.plan import view_of, wanted
from fleet.target import LAB, ROOT, Target, load_target
from fleet.wipe import estate
from lab.api import Lab
from tests.lab.agents import until
from tests.lab.runs import converge, environment, fleet
from tests.lab.workers import REGISTRATION_S, complete, members, object_of

DEAD, WIPED, MAC, TEMPORARY = "rpi3", "windows-laptop", "macbook1", "windows-desktop"
PLACES = "/etc /usr/local/libexec /Library/LaunchDaemons"  # where what a run brings names hosts


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fleet file of this module, of which hosts leave one after the other."""
    path = tmp_path_factory.mktemp("fleet") / "fleet.yaml"
    path.write_text((ROOT / "fleet.yaml").read_text())
    return path


@pytest.fixture
def now(lab: Lab, file: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """The lab as that file has it."""
    for name, value in environment(file).items():
        monkeypatch.setenv(name, value)
    return load_target(LAB)


def test_a_dead_host_leaves_no_trace(lab: Lab, file: Path) -> None:
    address = lab.fleet.host(DEAD).addresses.tailnet
    assert address
    comments = file.read_text().count("#")
    lab.poweroff(DEAD)
    said = fleet("remove", DEAD, "--yes", fleet_file=file)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "NOT removed" not in said.stdout
    assert f"{DEAD}:" not in file.read_text()
    assert file.read_text().count("#") == comments
    assert DEAD not in read_fleet_lock(lab.place.fleet_lock).hosts
    words = f"-e {shlex.quote(DEAD)} -e {shlex.quote(address)}"
    for host in lab.fleet.hosts:
        if host.name != DEAD:
            # There its tailscaled names those that are in the lab's tailnet, as this one still is.
            grep = f"grep -rlwF --exclude=hosts {words} {PLACES} 2>/dev/null"
            found = lab.run(host.name, grep, check=False)
            assert found.stdout == "", host.name


def test_nobody_speaks_of_it_any_more(now: Target) -> None:
    agents = orchestrator.rows(orchestrator.api(now, "GET", "/api/v1/agents"), "agents")
    names = {orchestrator.name_of(one) for one in agents}
    assert names
    assert DEAD not in names
    until(lambda: DEAD not in members(now), REGISTRATION_S)


def left_of(lab: Lab, target: Target, name: str, returned: Iterable[str] = ()) -> str:
    """What there is on a host that a wipe must not leave, a line each."""
    view = view_of(target, name)
    it = estate(view)
    # Behind a Mac of the lab there is a systemd, whose units are none of ours.
    masks = "true" if view.host.is_mac else "find /etc/systemd/system -name 'icec*' 2>/dev/null"
    files = {f.path for want in wanted(view).values() for f in want.files if not f.stays}
    listed = " ".join(map(shlex.quote, sorted({*files, *it.roots} - {*returned})))
    users = " ".join(user.name for user in it.users)
    return lab.run(
        name,
        f'for one in {listed}; do [ ! -e "$one" ] || echo "$one"; done\n'
        f"for one in {users}; do ! id -u $one >/dev/null 2>&1 || echo user $one; done\n"
        "ls /etc/systemd/system /Library/LaunchDaemons 2>/dev/null | grep -i agentfleet\n"
        f"{masks}\n"
        "nft list tables 2>/dev/null | grep agentfleet",
        check=False,
    ).stdout


def preimages(lab: Lab, target: Target, name: str) -> dict[str, str]:
    """What our files have replaced on a host: path → checksum."""
    state = view_of(target, name).settings.state_dir
    script = f"cd {state}/preimages && for one in *; do cksum <$one; echo $one; done"
    said = lab.run(name, script).stdout.splitlines()
    return {unquote(path): digest for digest, path in zip(said[::2], said[1::2], strict=True)}


def put_back(lab: Lab, name: str, before: dict[str, str]) -> None:
    assert before, "a host has at least the keys that it came with"
    for path, digest in before.items():
        assert lab.run(name, f"cksum <{shlex.quote(path)}").stdout.strip() == digest, path


def test_a_host_is_as_it_was_and_leaves(lab: Lab, file: Path, now: Target) -> None:
    assert left_of(lab, now, WIPED), "or this proves nothing"
    before = preimages(lab, now, WIPED)
    said = fleet("remove", WIPED, "--wipe", "--yes", fleet_file=file)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "user claude-agent: remove" in said.stdout
    assert left_of(lab, now, WIPED, before) == ""
    put_back(lab, WIPED, before)
    assert f"{WIPED}:" not in file.read_text()
    assert WIPED not in read_fleet_lock(lab.place.fleet_lock).hosts


def test_a_mac_is_as_it_was(lab: Lab, file: Path, now: Target) -> None:
    """The wipe alone; a run afterwards brings all of it again."""
    before = preimages(lab, now, MAC)
    wipe = "fleet/wipe_deploy.py"
    run = converge("--limit", MAC, fleet_file=file, deploy=wipe)
    assert run.code == 0, run.output
    assert run.changes[MAC]
    assert left_of(lab, now, MAC, before) == ""
    put_back(lab, MAC, before)
    assert converge("--limit", MAC, fleet_file=file, deploy=wipe, dry=True).changes == {}


@pytest.mark.long
def test_a_scheduler_for_a_day_and_back(lab: Lab, file: Path, now: Target) -> None:
    """All nodes move, a job goes through it, a second run changes nothing; and all of it back."""
    text = file.read_text()
    boss = now.fleet.orchestrator.name
    compilers = f"cat {row_path(view_of(now, boss))}"
    row = lab.run(boss, compilers).stdout
    file.write_text(f"{text}\nscheduler: {TEMPORARY}\n")
    run = converge(fleet_file=file)
    assert run.code == 0, run.output
    there = load_target(LAB)
    assert there.fleet.scheduler == TEMPORARY
    complete(there)
    assert "Have to use host" in object_of(lab, boss, TEMPORARY)
    assert lab.run(boss, compilers).stdout == row, "nobody fetches a new compiler"
    assert converge(fleet_file=file, dry=True).changes == {}
    file.write_text(text)
    run = converge(fleet_file=file)
    assert run.code == 0, run.output
    complete(load_target(LAB))
    unit = "/etc/systemd/system/agentfleet-icecc-scheduler.service"
    assert lab.run(TEMPORARY, f"ls {unit}", check=False).returncode
    assert lab.run(boss, "systemctl is-active agentfleet-icecc-scheduler").stdout == "active\n"
    assert converge(fleet_file=file, dry=True).changes == {}
