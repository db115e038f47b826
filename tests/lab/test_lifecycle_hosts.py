"""Hosts leave, come, are set up anew and wiped; the scheduler moves for a day: in this order."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest

from deploys.toolchains import row_path
from fleet import orchestrator
from fleet.lock import read_fleet_lock
from fleet.plan import view_of, wanted
from fleet.target import LAB, ROOT, Target, load_target
from fleet.wipe import estate
from lab import remote
from lab.api import Lab
from lab.shell import run
from tests.lab import desk
from tests.lab.agents import until
from tests.lab.checks import settles
from tests.lab.runs import converge, environment, fleet
from tests.lab.workers import REGISTRATION_S, complete, members, object_of

DEAD, ANEW, RESET, MAC, TEMPORARY = "rpi3", "rpi2", "windows-laptop", "macbook1", "windows-desktop"
PLACES = "/etc /usr/local/libexec /Library/LaunchDaemons"  # where what a run brings names hosts


@contextmanager
def moved(lab: Lab) -> Iterator[None]:
    """Every host and this machine are in another LAN, and this machine is in the tailnet.

    What stands for the internet, on this machine's old address, is reached from there too.
    """
    place = lab.place
    link, new = f"{place.uplink[:13]}ws", f"10.{place.number}.1"
    member = place.tailnet_network.replace(".0/24", ".250/24")
    places = {place.namespace(host): place.lan(host) for host in lab.hosts}
    remote.hang_up(place, [host.name for host in lab.hosts])
    ip("link", "add", link, "type", "veth", "peer", "name", "ws", "netns", place.switch)
    try:
        ip("-n", place.switch, "link", "set", "ws", "master", "tail", "up")
        ip("addr", "add", member, "dev", link)
        ip("link", "set", link, "up")
        ip("addr", "add", f"{new}.1/24", "dev", place.uplink)
        for space, old in places.items():
            ip("-n", space, "-4", "addr", "flush", "dev", "eth0")
            ip("-n", space, "addr", "add", f"{new}.{old.rpartition('.')[2]}/24", "dev", "eth0")
            ip("-n", space, "route", "add", place.gateway, "dev", "eth0")
        yield
    finally:
        ip("link", "del", link)
        ip("addr", "del", f"{new}.1/24", "dev", place.uplink)
        for space, old in places.items():
            ip("-n", space, "-4", "addr", "flush", "dev", "eth0")
            ip("-n", space, "addr", "add", f"{old}/24", "dev", "eth0")


def ip(*words: str) -> None:
    run(["ip", *words])


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


def test_the_fleet_moves_to_another_lan(lab: Lab, file: Path) -> None:
    """Every LAN address is another one now, and this machine is in the tailnet: no edit is needed.

    The firewalls and services know tailnet addresses alone.
    """
    with moved(lab):
        dry = converge(dry=True)
        assert (dry.code, dry.changes) == (0, {}), dry.output
        settles(set())
        one = lab.fleet.host(MAC)
        text = file.read_text()
        file.write_text(text.replace(f"  {MAC}:\n", f"  {MAC}:\n    max_jobs: {one.cores - 1}\n"))
        done = converge(fleet_file=file)
        assert done.code == 0, done.output
        assert set(done.changes) == {MAC}
    file.write_text(text)


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


@pytest.mark.long
def test_hosts_set_up_anew_and_one_that_comes(lab: Lab, file: Path, now: Target) -> None:
    """A new SD card, a distribution that was reset, and the dead host as a new one.

    What the old systems were told is done by the new one, where that is asked for.
    """
    number = desk.send(now, "slow 60", wish=desk.on(ANEW))
    desk.becomes(now, number, "running")
    keys = {name: read_fleet_lock(lab.place.fleet_lock).host_keys(name) for name in (ANEW, RESET)}
    for name in (DEAD, ANEW, RESET):
        lab.tailnet.remove(name)  # what the owner does in the admin console
    lab.reset([DEAD, ANEW, RESET])
    replaced = fleet("replace", ANEW, "--tasks", "requeue", "--yes", fleet_file=file)
    assert replaced.returncode == 0, replaced.stdout + replaced.stderr
    assert f"task {number}: queued again" in replaced.stdout
    assert fleet("replace", RESET, "--yes", fleet_file=file).returncode == 0
    entry = ("--role", "pi", "--os", "raspios", "--lan", "192.168.50.33")
    added = fleet("add", DEAD, *entry, fleet_file=file)
    assert added.returncode == 0, added.stderr
    limits = [word for name in (DEAD, ANEW, RESET) for word in ("--limit", name)]
    alone = fleet("apply", "--yes", *limits, fleet_file=file)
    # Agents begin once the orchestrator knows where they are now, which it is told by the next run.
    assert alone.returncode == 2, alone.stdout[-4000:] + alone.stderr
    everybody = fleet("apply", "--yes", fleet_file=file)
    assert everybody.returncode == 0, everybody.stdout[-4000:] + everybody.stderr
    settles(set())
    assert converge(fleet_file=file, dry=True).changes == {}
    learned = read_fleet_lock(lab.place.fleet_lock)
    for name, before in keys.items():
        assert before
        assert learned.host_keys(name) not in ((), before), name
    desk.becomes(load_target(LAB), number, "done")


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


@pytest.mark.long
def test_a_host_is_as_it_was_and_leaves(lab: Lab, file: Path, now: Target) -> None:
    """What has just come goes again, and nobody misses it."""
    assert left_of(lab, now, DEAD), "or this proves nothing"
    before = preimages(lab, now, DEAD)
    said = fleet("remove", DEAD, "--wipe", "--yes", fleet_file=file)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "user claude-agent: remove" in said.stdout
    assert left_of(lab, now, DEAD, before) == ""
    put_back(lab, DEAD, before)
    assert f"{DEAD}:" not in file.read_text()
    assert DEAD not in read_fleet_lock(lab.place.fleet_lock).hosts
    settles(set())


def test_a_mac_and_a_distribution_are_as_they_were(lab: Lab, file: Path, now: Target) -> None:
    """The wipe alone; a run afterwards brings all of it again."""
    names = (MAC, RESET)
    before = {name: preimages(lab, now, name) for name in names}
    wipe = "fleet/wipe_deploy.py"
    limits = [word for name in names for word in ("--limit", name)]
    done = converge(*limits, fleet_file=file, deploy=wipe)
    assert done.code == 0, done.output
    assert set(done.changes) == set(names)
    for name in names:
        assert left_of(lab, now, name, before[name]) == ""
        put_back(lab, name, before[name])
    assert converge(*limits, fleet_file=file, deploy=wipe, dry=True).changes == {}


@pytest.mark.long
def test_a_scheduler_for_a_day_and_back(lab: Lab, file: Path, now: Target) -> None:
    """All nodes move, a job goes through it, a second run changes nothing; and all of it back."""
    text = file.read_text()
    boss = now.fleet.orchestrator.name
    compilers = f"cat {row_path(view_of(now, boss))}"
    row = lab.run(boss, compilers).stdout
    file.write_text(f"{text}\nscheduler: {TEMPORARY}\n")
    done = converge(fleet_file=file)
    assert done.code == 0, done.output
    there = load_target(LAB)
    assert there.fleet.scheduler == TEMPORARY
    complete(there)
    assert "Have to use host" in object_of(lab, boss, TEMPORARY)
    checked = fleet("compile-check", "--host", TEMPORARY, fleet_file=file)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert lab.run(boss, compilers).stdout == row, "nobody fetches a new compiler"
    assert converge(fleet_file=file, dry=True).changes == {}
    file.write_text(text)
    done = converge(fleet_file=file)
    assert done.code == 0, done.output
    complete(load_target(LAB))
    unit = "/etc/systemd/system/agentfleet-icecc-scheduler.service"
    assert lab.run(TEMPORARY, f"ls {unit}", check=False).returncode
    assert lab.run(boss, "systemctl is-active agentfleet-icecc-scheduler").stdout == "active\n"
    assert converge(fleet_file=file, dry=True).changes == {}
