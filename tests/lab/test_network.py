"""Who reaches what: scans from every host to every other, and walls that fall and come back."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from fleet.doors import Door, Who, doors
from fleet.model import Fleet, Host
from fleet.policy import policy
from lab.api import Lab
from tests.lab.runs import SHORT_WINDOW_S, converge

SCAN = Path(__file__).with_name("scan.py")
STRAY = 9999  # a port that is in no table
NETWORKS = ("lan4", "lan6", "tailnet4", "tailnet6")
CLOSED_AGAIN_S = 30
BOOTED_S = 60


def _exec(lab: Lab, host: str) -> list[str]:
    """The scanner in the host's network. It knocks as root does, from the host's addresses."""
    (spec,) = [one for one in lab.hosts if one.name == host]
    return ["ip", "netns", "exec", lab.place.namespace(spec), sys.executable, str(SCAN)]


@contextmanager
def listeners(lab: Lab, ports: list[int]) -> Iterator[None]:
    """Somebody listens on all of these ports of all hosts, on every address."""
    started = []
    try:
        for host in lab.fleet.hosts:
            one = subprocess.Popen(
                _exec(lab, host.name), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            started.append(one)
            assert one.stdin
            one.stdin.write(json.dumps({"listen": ports}) + "\n")
            one.stdin.flush()
        for one in started:
            assert one.stdout
            assert json.loads(one.stdout.readline())
        yield
    finally:
        for one in started:
            one.communicate()


@dataclass(frozen=True)
class Knock:
    """One attempt: from a host to a port of another one, at one of its addresses."""

    source: str
    target: str
    network: str
    port: int


def places(lab: Lab, host: Host) -> dict[str, str]:
    (spec,) = [one for one in lab.hosts if one.name == host.name]
    known = host.addresses
    assert known.tailnet
    assert known.tailnet6
    addresses = (lab.place.lan(spec), lab.place.lan6(spec), known.tailnet, known.tailnet6)
    return dict(zip(NETWORKS, addresses, strict=True))


def scan(lab: Lab) -> dict[Knock, bool]:
    """Every host knocks at every door of every other one, and at the stray port."""
    fleet = lab.fleet
    found: dict[Knock, bool] = {}
    running = []
    for source in fleet.hosts:
        tries = [
            (Knock(source.name, target.name, network, port), address)
            for target in fleet.hosts
            if target.name != source.name
            for network, address in places(lab, target).items()
            for port in (STRAY, *(door.port for door in doors(fleet, target)))
        ]
        asked = json.dumps({"knock": [(address, knock.port) for knock, address in tries]})
        process = subprocess.Popen(
            _exec(lab, source.name), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        running.append((process, asked, [knock for knock, _ in tries]))
    for process, asked, knocks in running:
        answer, _ = process.communicate(asked + "\n", timeout=300)
        found |= dict(zip(knocks, json.loads(answer), strict=True))
    return found


def guarded(fleet: Fleet) -> list[int]:
    every = (door for host in fleet.hosts for door in doors(fleet, host))
    return sorted({door.port for door in every if door.who is not Who.ANYWHERE})


def the_door(fleet: Fleet, knock: Knock) -> Door | None:
    target = fleet.host(knock.target)
    return next((d for d in doors(fleet, target) if d.port == knock.port), None)


def walls_let_in(fleet: Fleet, knock: Knock) -> bool:
    """What the hosts' own firewalls allow, whatever the tailnet's policy is."""
    door = the_door(fleet, knock)
    if door is None or door.who is Who.ANYWHERE:
        return True  # somebody else's port is none of our business
    if knock.network.startswith("lan"):
        return False
    return door.who is not Who.ORCHESTRATOR or knock.source == fleet.orchestrator.name


def policy_lets_in(fleet: Fleet, knock: Knock) -> bool:
    """What the policy allows: a host of the fleet, or an operator's own device."""
    if knock.network.startswith("lan"):
        return True
    door = the_door(fleet, knock)
    if door is None:
        return False
    source = fleet.host(knock.source)
    persons = source.role.value in ("workstation-mac", "windows-wsl")  # joined as the operator
    if door.who is Who.ANYWHERE:
        return persons or (door.dispatch and knock.source == fleet.orchestrator.name)
    return door.who is not Who.ORCHESTRATOR or knock.source == fleet.orchestrator.name


STANDS = """
/usr/local/libexec/agentfleet/wall standing && grep -v nowhere /var/run/agentfleet/wall.interface
"""


def _stands(lab: Lab, name: str) -> bool:
    """Whether the host's wall is in force, and knows the tailnet's interface."""
    return lab.run(name, STANDS, check=False).returncode == 0


@pytest.fixture(scope="module", autouse=True)
def _booted(lab: Lab) -> None:
    """A host that was brought back answers SSH before it has started all that it starts."""
    for host in lab.fleet.hosts:
        _until(partial(_stands, lab, host.name), BOOTED_S)


def _differences(found: dict[Knock, bool], expected: dict[Knock, bool]) -> list[str]:
    return [f"{k}: open is {found[k]}" for k in found if found[k] is not expected[k]]


def test_walls_alone_let_in_whom_the_doors_are_for(lab: Lab) -> None:
    """With a tailnet that allows everything, as a new one does; IPv4 and IPv6, LAN and tailnet."""
    fleet = lab.fleet
    lab.tailnet.policy(None)
    with listeners(lab, [*guarded(fleet), STRAY]):
        found = scan(lab)
    expected = {knock: walls_let_in(fleet, knock) for knock in found}
    assert _differences(found, expected) == []
    assert {expected[k] for k in found} == {True, False}


def test_with_the_policy_nothing_else_is_open_in_the_tailnet(lab: Lab) -> None:
    fleet = lab.fleet
    lab.tailnet.policy(policy(fleet))
    try:
        with listeners(lab, [*guarded(fleet), STRAY]):
            found = scan(lab)
    finally:
        lab.tailnet.policy(None)
    expected = {k: walls_let_in(fleet, k) and policy_lets_in(fleet, k) for k in found}
    assert _differences(found, expected) == []


# On each host by whatever its program is; Windows' needs a live interop socket.
PING = """
for place in /usr/bin /usr/local/bin /opt/local/bin '/mnt/c/Program Files/Tailscale'; do
    for name in tailscale tailscale.exe; do [ ! -x "$place/$name" ] || program=$place/$name; done
done
export WSL_INTEROP=/run/WSL/1_interop
for name in {names}; do "$program" ping -c 1 "$name" </dev/null || echo "LOST $name"; done
"""


def test_every_host_answers_a_ping_by_name(lab: Lab) -> None:
    """All of them may reach each other's workers, so all see each other."""
    lab.tailnet.policy(policy(lab.fleet))
    try:
        for source in lab.fleet.hosts:
            others = [host.name for host in lab.fleet.hosts if host != source]
            said = lab.run(source.name, PING.format(names=" ".join(others)), timeout=300)
            assert "LOST" not in said.stdout, f"{source.name}: {said.stdout}{said.stderr}"
            assert said.stdout.count("pong from") == len(others), said.stdout + said.stderr
    finally:
        lab.tailnet.policy(None)


def _knocks(lab: Lab, host: str, user: str, place: str, port: int) -> bool:
    done = lab.run(
        host, f"setpriv --reuid={user} --clear-groups nc -z -w 3 {place} {port}", check=False
    )
    return done.returncode == 0


def test_accounts_of_the_orchestrator(lab: Lab) -> None:
    """Only its service, its admin and root reach an agent; compile jobs reach the cluster alone."""
    fleet = lab.fleet
    here, agent = fleet.orchestrator.name, next(h for h in fleet.hosts if h.role.value == "pi")
    lab.run(here, "useradd --system claude-agent 2>/dev/null || true")
    agents = {"127.0.0.1": 3284, agent.addresses.tailnet or "": 3284}
    with listeners(lab, [3284, 8080]):
        for place, port in agents.items():
            for user in ("root", "admin", "agentfleet-orchestrator"):
                assert _knocks(lab, here, user, place, port), (user, place)
            for user in ("claude-agent", "icecc", "nobody"):
                assert not _knocks(lab, here, user, place, port), (user, place)
        scheduler = fleet.scheduler_host.addresses.tailnet or ""
        assert _knocks(lab, here, "icecc", scheduler, 8765)
        assert _knocks(lab, here, "icecc", agent.addresses.tailnet or "", 10245)
        for place, port in (("127.0.0.1", 22), (scheduler, 8766), ("127.0.0.1", 8080)):
            assert not _knocks(lab, here, "icecc", place, port), (place, port)
            assert _knocks(lab, here, "admin", place, port), (place, port)


HOSTS = ("arch-orchestrator", "rpi2", "macbook1", "windows-desktop")


@dataclass(frozen=True)
class Guarded:
    """A daemon of the fleet that asks nobody who they are: an agent, else a compile worker."""

    lab: Lab
    host: str
    name: str
    port: int

    @property
    def active(self) -> bool:
        """Whether it runs itself: a Mac's launcher that waits for the wall does not count."""
        if self.lab.fleet.host(self.host).is_mac:
            seen = f"ps -A -o command | grep -q '^[^ ]*python3 .*/{self.name} server'"
        else:
            seen = f"systemctl is-active agentfleet-{self.name}"
        return not self.lab.run(self.host, seen, check=False).returncode

    @property
    def stopped(self) -> bool:
        """Whether it has ended: one that is told to may still listen."""
        if self.lab.fleet.host(self.host).is_mac:
            return not self.active
        ask = f"systemctl show -p MainPID --value agentfleet-{self.name}"
        return self.lab.run(self.host, ask).stdout.strip() == "0"

    @property
    def shut(self) -> bool:
        """Whether a stranger on the LAN is kept out."""
        return not opens(_lan(self.lab, self.host), self.port)

    def until(self, what: str, limit_s: float = 0) -> None:
        """Wait for one of the above to be so."""
        _until(lambda: bool(getattr(self, what)), limit_s or CLOSED_AGAIN_S)


def guards(lab: Lab) -> tuple[Guarded, ...]:
    """One on a host of each kind."""
    return tuple(
        Guarded(lab, name, "agentapi", 3284)
        if lab.fleet.host(name).is_agent
        else Guarded(lab, name, "iceccd", 10245)
        for name in HOSTS
    )


def _lan(lab: Lab, name: str) -> str:
    (spec,) = [one for one in lab.hosts if one.name == name]
    return lab.place.lan(spec)


def opens(address: str, port: int) -> bool:
    """Whether a stranger on the LAN gets in."""
    try:
        socket.create_connection((address, port), timeout=0.8).close()
    except OSError:
        return False
    return True


@contextmanager
def watched(address: str, port: int, found: list[float]) -> Iterator[None]:
    """Knock several times a second meanwhile, and note when it opened."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            if opens(address, port):
                found.append(time.monotonic())
            time.sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _until(what: Callable[[], bool], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.5)


UPDATE = """
printf 'set skip on lo0\\npass all\\n' >/etc/pf.conf
pfctl -F all
pfctl -f /etc/pf.conf
pfctl -d
"""


def _flush(lab: Lab, name: str) -> None:
    """What other programs do: a Mac's update rewrites and reloads pf.conf, a firewall flushes."""
    if lab.fleet.host(name).is_mac:
        lab.run(name, UPDATE, check=False)
    else:
        lab.run(name, "nft flush ruleset")


def on_all(lab: Lab, check: Callable[[Lab, Guarded], None]) -> None:
    """The same on each of them at once: most of it is waiting."""
    with ThreadPoolExecutor(len(HOSTS)) as pool:
        for _ in pool.map(partial(check, lab), guards(lab)):
            pass


def _flushed(lab: Lab, one: Guarded) -> None:
    one.until("active")
    assert one.shut, one.host
    _flush(lab, one.host)
    flushed = time.monotonic()
    one.until("shut")
    time.sleep(max(0.0, 15 - (time.monotonic() - flushed)))  # past the watcher's next look
    one.until("active")
    assert one.shut, one.host


def test_a_wall_that_is_flushed_is_back_soon(lab: Lab) -> None:
    on_all(lab, _flushed)
    limits = [word for name in HOSTS for word in ("--limit", name)]
    assert converge(*limits).changes == {}


def _broken(lab: Lab, one: Guarded) -> None:
    mac = lab.fleet.host(one.host).is_mac
    rules = "/etc/agentfleet/wall.pf" if mac else "/etc/agentfleet/wall.nft"
    lab.run(one.host, f"cp -p {rules} /tmp/right; echo nonsense >{rules}")
    _flush(lab, one.host)
    one.until("stopped")
    assert one.shut, one.host
    time.sleep(5)
    assert one.stopped, one.host
    lab.run(one.host, f"cp -p /tmp/right {rules}")
    one.until("active")
    assert one.shut, one.host


def test_a_wall_that_cannot_stand_takes_everything_down(lab: Lab) -> None:
    """Fails closed: without rules no service that needs them runs, and it comes back with them."""
    on_all(lab, _broken)


def test_no_stranger_gets_in_while_a_host_boots(lab: Lab) -> None:
    found: dict[str, list[float]] = {name: [] for name in HOSTS}
    with ExitStack() as watchers:
        for one in guards(lab):
            place = _lan(lab, one.host)
            watchers.enter_context(watched(place, one.port, found[one.host]))
            lab.poweroff(one.host)
        lab.up(HOSTS)
        for one in guards(lab):
            one.until("active", 90)
        time.sleep(3)
    assert found == {name: [] for name in HOSTS}


SHUT_OUT = ("rpi1", "windows-laptop", "imac")


def test_rules_that_shut_ssh_out_undo_themselves(lab: Lab) -> None:
    limits = [word for name in SHUT_OUT for word in ("--limit", name)]
    began = time.monotonic()
    run = converge(*limits, deploy="tests/lab/deploy_shuts_ssh.py")
    assert run.code == 1, run.output
    assert time.monotonic() - began > SHORT_WINDOW_S
    for name in SHUT_OUT:
        target = lab.fleet.host(name)
        _until(partial(opens, _lan(lab, name), target.ssh.port), 90)
    time.sleep(5)  # the undo tidies up after it has put the rules back
    for name in SHUT_OUT:
        left = "ls /etc/systemd/system /Library/LaunchDaemons 2>/dev/null | grep undo"
        assert lab.run(name, left, check=False).stdout == "", name
    assert converge(*limits).changes == {}
