"""What pf's rules do to packets: two hosts in namespaces of their own, loaded through pfctl."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.standins.macos.darwin import pfctl

WHY_NOT = (
    "needs Linux" if sys.platform != "linux"
    else "needs root" if os.geteuid() != 0
    else "needs nft" if not shutil.which("nft")
    else "needs ip" if not shutil.which("ip")
    else ""
)  # fmt: skip
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

PREFIX = "aflab.pf."
MAC = (f"{PREFIX}{os.getpid()}.mac", "utun4", ("100.64.77.112", "fd7a:115c:a1e0:4d::112"))
PEERS = {  # one namespace with two addresses of each family: the orchestrator's, a stranger's
    "orchestrator": ("100.64.77.100", "fd7a:115c:a1e0:4d::100"),
    "stranger": ("100.64.77.66", "fd7a:115c:a1e0:4d::66"),
}
PEER = (f"{PREFIX}{os.getpid()}.peer", "eth0", tuple(a for pair in PEERS.values() for a in pair))
PORTS = (22, 80, 3284, 10245)
NOBODY = 65534
SILENCE = 1.0  # seconds without an answer that count as none

SERVE = """
import selectors, socket, sys
ready = selectors.DefaultSelector()
for family, everywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    for port in map(int, sys.argv[1:]):
        server = socket.socket(family)
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind((everywhere, port))
        server.listen()
        ready.register(server, selectors.EVENT_READ, "server")
ready.register(sys.stdin, selectors.EVENT_READ, "parent")
print("ready", flush=True)
while True:
    for key, _ in ready.select():
        if key.data == "parent":
            sys.exit()
        elif key.data == "server":
            ready.register(key.fileobj.accept()[0], selectors.EVENT_READ, "client")
        elif data := key.fileobj.recv(100):
            key.fileobj.sendall(data)
        else:
            ready.unregister(key.fileobj)
            key.fileobj.close()
"""
PROBE = """
import json, os, socket, sys
from concurrent.futures import ThreadPoolExecutor
silence, user, *probes = json.loads(sys.argv[1])
os.setuid(user)
def probe(want):
    kind, source, target, port = want
    try:
        with socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET,
                           socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as s:
            s.settimeout(silence)
            s.bind((source, 0))
            s.connect((target, port))
            s.send(b"x")
            return "open" if s.recv(1) else "closed"
    except TimeoutError:
        return "silent"
    except ConnectionRefusedError:
        return "refused"
with ThreadPoolExecutor(32) as pool:
    print(json.dumps(list(pool.map(probe, probes))))
"""
TALK = """
import socket, sys
with socket.create_connection((sys.argv[1], 80)) as s:
    s.settimeout(float(sys.argv[2]))
    for line in sys.stdin:
        try:
            s.send(b"x")
            print("open" if s.recv(1) else "closed", flush=True)
        except TimeoutError:
            print("silent", flush=True)
"""


def inside(namespace: str, *argv: str) -> list[str]:
    return ["ip", "netns", "exec", namespace, *argv]


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, text=True)


def plug(namespace: str, interface: str, addresses: tuple[str, ...]) -> None:
    for address in addresses:
        rest = ["/64", "nodad"] if ":" in address else ["/24"]
        run(*inside(namespace, "ip", "address", "add", address + rest[0], "dev", interface,
                    *rest[1:]))  # fmt: skip
    for name in ("lo", interface):
        run(*inside(namespace, "ip", "link", "set", name, "up"))


def sweep() -> None:
    """Remove namespaces of this run, and of runs that were killed."""
    for path in Path("/run/netns").glob(f"{PREFIX}*"):
        owner = path.name.removeprefix(PREFIX).split(".")[0]
        if owner == str(os.getpid()) or not Path("/proc", owner).exists():
            subprocess.run(["ip", "netns", "del", path.name], capture_output=True, check=False)


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    """A Mac and its peers on one wire, each with servers on PORTS."""
    servers: list[subprocess.Popen[str]] = []
    sweep()
    try:
        for namespace, _, _ in (MAC, PEER):
            run("ip", "netns", "add", namespace)
        run(*inside(MAC[0], "ip", "link", "add", MAC[1], "type", "veth",
                    "peer", "name", PEER[1], "netns", PEER[0]))  # fmt: skip
        for end in (MAC, PEER):
            plug(*end)
            command = inside(end[0], sys.executable, "-c", SERVE, *map(str, PORTS))
            pipe = subprocess.PIPE
            servers.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
        for server in servers:
            assert server.stdout
            assert server.stdout.readline() == "ready\n"
        for source in PEERS.values():  # neighbours that do not know each other yet take a second
            assert probe(PEER[0], wanted(source, MAC[2], 80), silence=10) == ["open"]
        yield
    finally:
        for server in servers:
            server.kill()
            server.communicate()
        sweep()


class Mac:
    """A Mac's pf, and what comes through."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "pf.conf").write_text('anchor "com.apple/*"\n')
        self.pfctl("-f", str(root / "pf.conf"))
        self.pfctl("-e")

    def pfctl(self, *argv: str) -> None:
        """Run pfctl, and have the namespace filter as it says."""
        assert pfctl.main(["-q", *argv], self.root) == 0
        run(*inside(MAC[0], "nft", "-f", str(self.root / pfctl.FILTER)))

    def load(self, *rules: str, anchor: str = "") -> None:
        file = self.root / "rules"
        file.write_text("".join(f"{rule}\n" for rule in rules))
        self.pfctl(*(("-a", anchor) if anchor else ()), "-f", str(file))

    def answers(self, *ports: int, source: str = "stranger", kind: str = "tcp") -> list[str]:
        """What a peer's probes of these ports get."""
        return probe(PEER[0], wanted(PEERS[source], MAC[2], *ports, kind=kind))

    def gets(self, *ports: int, user: int = 0, itself: bool = False) -> list[str]:
        """What the Mac's own probes of a peer get, or of its own address."""
        targets = MAC[2] if itself else PEERS["stranger"]
        return probe(MAC[0], wanted(MAC[2], targets, *ports), user)


Probe = tuple[str, str, str, int]  # tcp or udp, from, to, port


def wanted(
    sources: tuple[str, ...], targets: tuple[str, ...], *ports: int, kind: str = "tcp"
) -> list[Probe]:
    """Probes of these ports, over IPv4 and then over IPv6."""
    pairs = zip(sources, targets, strict=True)
    return [(kind, source, target, port) for source, target in pairs for port in ports]


def probe(
    namespace: str, probes: list[Probe], user: int = 0, silence: float = SILENCE
) -> list[str]:
    """What each port answers, which has to be the same over IPv4 and IPv6."""
    command = inside(namespace, sys.executable, "-c", PROBE, json.dumps([silence, user, *probes]))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    half = len(probes) // 2
    assert found[:half] == found[half:], f"IPv4 and IPv6 differ: {found}"
    return found[:half]


@pytest.fixture
def mac(network: None, tmp_path: Path) -> Mac:
    return Mac(tmp_path)


FLEET = (  # what keeps an agent's port to the orchestrator
    f"table <fleet> const {{ {', '.join(PEERS['orchestrator'])} }}",
    "pass in quick on lo0 all flags any no state",
    "pass in quick proto tcp from any to any port 22 flags any no state",
    "pass in quick on utun4 proto tcp from <fleet> to any port 3284 flags any no state",
    "block return in quick proto tcp from any to any port { 3284, 10245 }",
    f"block return out quick proto tcp from any to any port 3284 user {{ {NOBODY}, 4711 }}",
)


def test_the_fleets_rules(mac: Mac) -> None:
    mac.load(*FLEET, anchor="com.apple/agentfleet")
    assert mac.answers(22, 80, 3284, 10245) == ["open", "open", "refused", "refused"]
    assert mac.answers(3284, 10245, source="orchestrator") == ["open", "refused"]
    assert mac.gets(3284, 10245, itself=True) == ["open", "open"]
    assert mac.gets(3284, 10245) == ["open", "open"]
    assert mac.gets(3284, 10245, user=NOBODY) == ["refused", "open"]
    assert mac.gets(3284, user=NOBODY, itself=True) == ["refused"]


def test_an_anchor_that_no_line_reaches(mac: Mac) -> None:
    mac.load("block in all", anchor="elsewhere")
    assert mac.answers(80) == ["open"]
    mac.load('anchor "elsewhere"', "pass in proto tcp from any to any port 22 no state")
    assert mac.answers(80, 22) == ["silent", "open"]


def test_disabling_and_flushing_let_everything_through(mac: Mac) -> None:
    mac.load("block in all")
    assert mac.answers(80) == ["silent"]
    mac.pfctl("-d")
    assert mac.answers(80) == ["open"]
    mac.pfctl("-e")
    assert mac.answers(80) == ["silent"]
    mac.pfctl("-F", "all")
    assert mac.answers(80) == ["open"]


def test_the_last_match_wins_but_for_quick(mac: Mac) -> None:
    mac.load(
        "block in proto tcp from any to any port 22",
        "pass in quick proto tcp from any to any port 80 no state",
        "block in quick proto tcp from any to any port 10245",
        "pass in proto tcp from any to any port { 22, 10245 } no state",
        "block return in proto tcp from any to any port { 80, 3284 }",
        "block drop in proto tcp from any to any port 3284",
    )
    assert mac.answers(22, 80, 10245, 3284) == ["open", "open", "silent", "silent"]


def test_states_let_replies_pass(mac: Mac) -> None:
    mac.load("block all", "pass out proto tcp from any to any port 80",
             "pass in proto tcp from any to any port 22",
             "pass proto icmp6 all")  # fmt: skip
    assert mac.gets(80, 22) == ["open", "silent"]
    assert mac.answers(80, 22) == ["silent", "open"]


def test_without_state_replies_meet_the_rules(mac: Mac) -> None:
    mac.load("block in all", "pass in proto icmp6 all", "pass out all flags any no state")
    assert mac.gets(80) == ["silent"]
    mac.load("block out all", "pass out proto icmp6 all", "pass in all flags any no state")
    assert mac.answers(80) == ["silent"]


def test_over_the_loopback_a_packet_goes_out_and_comes_in(mac: Mac) -> None:
    mac.load("block in all", "pass out all")
    assert mac.gets(80, itself=True) == ["silent"]
    mac.load("set skip on lo0", "block all")
    assert mac.gets(80, itself=True) == ["open"]


def test_pfs_own_answers_are_not_filtered(mac: Mac) -> None:
    mac.load("block return all", "pass proto icmp6 all no state")
    assert mac.answers(80) == ["refused"]
    assert mac.answers(80, kind="udp") == ["refused"]
    assert mac.gets(80) == ["refused"]
    assert mac.gets(80, itself=True) == ["refused"]


@pytest.mark.parametrize("family", [0, 1])
def test_states_outlive_rules_until_they_are_flushed(mac: Mac, family: int) -> None:
    mac.load("pass out all")
    command = inside(MAC[0], sys.executable, "-c", TALK, PEERS["stranger"][family], str(SILENCE))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as talk:
        assert talk.stdin
        assert talk.stdout

        def says() -> str:
            assert talk.stdin
            assert talk.stdout
            talk.stdin.write("go on\n")
            talk.stdin.flush()
            return talk.stdout.readline().strip()

        assert says() == "open"
        mac.load("block all")
        assert says() == "open"
        mac.pfctl("-F", "states")
        assert says() == "silent"
        talk.stdin.close()


def test_a_rule_of_one_family_leaves_the_other_alone(mac: Mac) -> None:
    mac.load("block return in inet proto tcp from any to any port 80",
             f"block return in proto tcp from any to {MAC[2][1]} port 22")  # fmt: skip
    with pytest.raises(AssertionError, match=r"differ: \['refused', 'open', 'open', 'refused'\]"):
        mac.answers(80, 22)
