"""A lab comes, goes and leaves nothing behind, however it was ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.lock import FleetLock, LockedHost, LockedTailnet, write_fleet_lock
from fleet.model import load_fleet
from lab import cgroups, machine, network
from lab.anthropic.process import CGROUP
from lab.api import Lab
from lab.errors import LabError
from tests.lab.joining import install, join, until
from tests.lab.runs import NAME, SMALL

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0, reason="the lab needs root on Linux"
    ),
]

OTHER = f"another-{NAME}"
FLEET = """\
version: 1
name: small
ssh: {user: somebody}
budgets: {orchestrator: 20, pi: 5, headless-mac: 10, workstation-mac: 5, windows-wsl: 5}
hosts:
  boss: {role: orchestrator, os: arch, arch: x86_64, cores: 4}
  berry: {role: pi, os: raspios, arch: aarch64, cores: 4}
"""


@pytest.fixture(scope="module")
def fleet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("fleet") / "fleet.yaml"
    file.write_text(FLEET)
    return file


def small_lab(fleet_file: Path, name: str = SMALL) -> Lab:
    return Lab(name, fleet=load_fleet(fleet_file))


@pytest.fixture
def it(fleet_file: Path) -> Iterator[Lab]:
    lab = small_lab(fleet_file)
    lab.destroy()
    yield lab
    lab.destroy()


@pytest.fixture(scope="module")
def command(fleet_file: Path) -> "Command":
    return Command(fleet_file)


class Command:
    """`fleet lab` as a person runs it, on the small fleet."""

    def __init__(self, fleet_file: Path) -> None:
        self.env = {**os.environ, "FLEET_FILE": str(fleet_file), "FLEET_LAB": SMALL}

    def start(self, *words: str, **how: object) -> "subprocess.Popen[str]":
        argv = [sys.executable, "-m", "lab", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(argv, env=self.env, **{**pipes, **how})  # type: ignore[call-overload,no-any-return]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        with self.start(*words) as process:
            out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(words, process.returncode, out, err)


def leftovers(lab: Lab) -> list[str]:
    """Everything on this machine that belongs to a lab and is no file of its state."""
    place = lab.place
    found = [
        f"mount {line}"
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if str(place.state) in line or f"{place.name}-" in line
    ]
    found += [
        f"namespace {name}"
        for name in network.namespaces()
        if name == place.switch or name.startswith(f"{place.switch}.")
    ]
    found += [
        f"interface {i.name}" for i in Path("/sys/class/net").iterdir() if i.name == place.uplink
    ]
    found += [f"cgroup {group}" for group in cgroups.find(place)]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            group = (process / "cgroup").read_text()
            ended = ") Z " in (process / "stat").read_text()  # init has yet to take note
        except OSError:
            continue
        if ended:
            continue
        if f"{place.state}/" in words or f"/{place.cgroup}/" in group:
            found.append(f"process {process.name} {words}")
    if (machine.USERS / place.name).exists():
        found.append("its claim to settings of the machine")
    nspawn = Path("/run/systemd/nspawn")
    found += [f"directory {d}" for d in nspawn.glob(f"*/{place.name}-*")]
    if machine.ENTRY.exists() and machine.MADE.exists() and not any(machine.USERS.iterdir()):
        found.append("the binfmt entry")
    return found


def test_down_leaves_nothing_and_up_goes_on_where_it_was(it: Lab) -> None:
    alone = not machine.USERS.exists()  # else the settings stay for the other labs
    before = machine.ENTRY.exists(), machine.INOTIFY.read_text()
    it.up()
    it.run("boss", "echo kept > /root/note")
    it.run("berry", "echo kept > /root/note")
    it.down()
    assert leftovers(it) == []
    if alone and not machine.USERS.exists():
        assert (machine.ENTRY.exists(), machine.INOTIFY.read_text()) == before
    assert {host.state for host in it.status()} == {"off"}
    it.up()
    assert it.run("boss", "cat /root/note").stdout == "kept\n"
    assert it.run("berry", "cat /root/note").stdout == "kept\n"


def test_up_twice_changes_nothing(it: Lab) -> None:
    it.up()
    pids = [host.pid for host in it.status()]
    key = it.place.known_hosts.read_text()
    it.up()
    assert [host.pid for host in it.status()] == pids
    assert it.place.known_hosts.read_text() == key


@pytest.mark.parametrize("seconds", [0.4, 0.8, 1.2, 2.0, 4.0])
def test_down_cleans_up_after_a_kill_half_way(it: Lab, command: Command, seconds: float) -> None:
    with command.start("up") as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
    assert command.run("down").returncode == 0
    assert leftovers(it) == []
    it.up()
    assert {host.state for host in it.status()} == {"up"}


def test_an_interrupted_up_ends_with_130_and_can_be_repeated(it: Lab, command: Command) -> None:
    with command.start("up") as process:
        assert process.stderr
        begun = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert "starting" in begun
    assert process.returncode == 130, err
    assert "Traceback" not in err
    it.up()
    assert {host.state for host in it.status()} == {"up"}


def test_two_labs_run_side_by_side(it: Lab, fleet_file: Path) -> None:
    other = small_lab(fleet_file, OTHER)
    other.destroy()
    try:
        it.up(["boss"])
        other.up(["boss"])
        addresses = {it.status()[0].lan, other.status()[0].lan}
        assert len(addresses) == 2
        it.run("boss", "echo one > /root/which")
        other.run("boss", "echo other > /root/which")
        it.down()
        assert leftovers(it) == []
        assert other.run("boss", "cat /root/which").stdout == "other\n"
    finally:
        other.destroy()
    assert leftovers(other) == []


def test_snapshot_and_restore_bring_files_modes_and_deletions_back(it: Lab) -> None:
    it.up()
    it.run("boss", "echo one > /root/note; chmod 640 /root/note; rm /etc/default/locale")
    it.snapshot("one")
    assert it.has_snapshot("one")
    key = it.place.known_hosts.read_text()
    it.run("boss", "echo two > /root/note; echo back > /etc/default/locale; rm -r /var/log/journal")
    it.run("berry", "touch /root/stray")
    it.restore("one")
    seen = it.run(
        "boss", "cat /root/note; stat -c %a /root/note; ls /etc/default/locale 2>&1 | wc -w"
    )
    assert seen.stdout.split()[:2] == ["one", "640"]
    assert it.run("boss", "test -e /etc/default/locale", check=False).returncode == 1
    assert it.run("boss", "test -d /var/log/journal", check=False).returncode == 0
    assert it.run("berry", "test -e /root/stray", check=False).returncode == 1
    assert it.place.known_hosts.read_text() == key


def test_snapshots_stand_on_one_another_and_outlive_the_ones_before(it: Lab) -> None:
    it.up(["boss"])

    def seen() -> list[str]:
        return it.run("boss", "cat /root/note; ls /root/box").stdout.split()

    it.run("boss", "echo one > /root/note; mkdir /root/box; touch /root/box/a")
    it.snapshot("one")
    it.run("boss", "echo none > /root/note")
    it.restore("one")
    assert seen() == ["one", "a"]
    it.run("boss", "echo two > /root/note; rm -r /root/box; mkdir /root/box; touch /root/box/b")
    it.snapshot("two")
    it.run("boss", "echo three > /root/note")
    it.snapshot("one")  # the one that the host and the other snapshot stand on
    it.restore("two")
    assert seen() == ["two", "b"]
    it.restore("one")
    assert seen() == ["three", "b"]
    copies = len(list((it.place.state / "strata").iterdir()))
    it.snapshot("two")
    it.snapshot("two")
    assert len(list((it.place.state / "strata").iterdir())) <= copies + 1, "nobody needs the rest"


def test_a_snapshot_has_the_tailnet_and_what_runs_learned_in_it(it: Lab) -> None:
    it.up(["boss"])
    install(it, "boss")
    join(it, "boss")
    nodes, key = it.tailnet.nodes(), it.tailnet.auth_key.read_text()
    learned = FleetLock().with_host("boss", LockedHost(tailnet=LockedTailnet(ipv4=nodes[0].ipv4)))
    write_fleet_lock(it.place.fleet_lock, learned)
    assert it.fleet.host("boss").addresses.tailnet == nodes[0].ipv4
    it.snapshot("joined")
    it.reset(["boss"])
    assert it.fleet.host("boss").addresses.tailnet == nodes[0].ipv4, "a reset forgets nothing"
    install(it, "boss")
    join(it, "boss")
    assert [(one.name, one.online) for one in it.tailnet.nodes()] == [
        ("boss", False),
        ("boss-1", True),
    ]
    it.tailnet.new_key()
    it.place.fleet_lock.unlink()
    it.restore("joined")
    until(lambda: it.tailnet.nodes() == nodes)
    assert it.tailnet.auth_key.read_text() == key
    assert it.fleet.host("boss").addresses.tailnet == nodes[0].ipv4


def test_the_api_answers_on_the_lan_and_comes_back_with_its_key(it: Lab) -> None:
    it.up(["boss"])
    url, key = f"{it.place.anthropic_url}/v1/messages", it.anthropic.key
    body = json.dumps({"messages": [{"role": "user", "content": "say it"}]})

    def ask(paid_with: str) -> str:
        return it.run("boss", f"curl -sS -H 'x-api-key: {paid_with}' -d '{body}' {url}").stdout

    assert "authentication_error" in ask("another")
    assert json.loads(ask(key))["content"][0]["text"] == "it"
    assert it.place.anthropic_key.stat().st_mode & 0o777 == 0o600
    (first,) = cgroups.processes(cgroups.find(it.place, CGROUP))
    it.up(["boss"])
    left_alone = cgroups.processes(cgroups.find(it.place, CGROUP))
    assert left_alone == {first}
    os.kill(first, signal.SIGKILL)
    it.up(["boss"])
    assert json.loads(ask(key))["content"][0]["text"] == "it"
    it.down()
    assert leftovers(it) == []
    assert it.anthropic.key == key
    assert [one["prompt"] for one in it.anthropic.requests()] == ["say it", "say it"]


def test_an_unknown_snapshot_is_named_with_those_that_exist(it: Lab) -> None:
    it.up(["boss"])
    it.snapshot("first")
    with pytest.raises(LabError, match="no snapshot second; there is: first"):
        it.restore("second")


def test_reset_makes_a_host_new_and_leaves_the_others_alone(it: Lab) -> None:
    it.up()
    for host in ("boss", "berry"):
        it.run(host, "touch /root/mark")
    identity = it.run("boss", "cat /etc/machine-id").stdout
    it.reset(["boss"])
    assert it.run("boss", "test -e /root/mark", check=False).returncode == 1
    assert it.run("boss", "cat /etc/machine-id").stdout != identity
    assert it.run("berry", "test -e /root/mark", check=False).returncode == 0


def test_a_host_can_be_switched_off_and_on(it: Lab) -> None:
    it.up()
    it.poweroff("boss")
    assert {host.name: host.state for host in it.status()} == {"boss": "off", "berry": "up"}
    it.poweron("boss")
    assert it.run("boss", "hostname").stdout == "boss\n"


def test_a_host_that_does_not_boot_is_named_with_its_last_words(it: Lab) -> None:
    it.up(["boss"])
    it.run("boss", "ln -sf /nowhere /lib/systemd/systemd")
    it.poweroff("boss")
    with pytest.raises(LabError, match=r"boss stopped while it booted.*console"):
        it.poweron("boss")


def test_commands_say_what_a_person_needs(it: Lab, command: Command) -> None:
    assert (
        command.run("up", "nobody")
        .stderr.strip()
        .endswith("the fleet has no host nobody; it has boss, berry")
    )
    assert command.run("up", "nobody").returncode == 1
    assert command.run("--name", "Not a name", "status").returncode == 64
    it.up(["boss"])
    done = command.run("ssh", "boss", "exit 7")
    assert done.returncode == 7
    rows = {row["name"]: row for row in json.loads(command.run("status", "--json").stdout)}
    assert rows["boss"]["state"] == "up"
    assert rows["berry"]["state"] == "absent"


def test_without_root_there_is_a_message(command: Command) -> None:
    argv = ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-m", "lab", "up"]
    done = subprocess.run(argv, env=command.env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the lab needs root" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_noticed_before_anything_is_built(
    it: Lab, command: Command, tmp_path: Path
) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path], check=True)
    try:
        command.env["AGENTFLEET_CACHE"] = str(tmp_path)
        done = command.run("up", "boss")
    finally:
        command.env.pop("AGENTFLEET_CACHE")
        subprocess.run(["umount", tmp_path], check=True)
    assert done.returncode == 1
    assert "not enough disk space" in done.stderr
