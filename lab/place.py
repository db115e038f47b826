"""One lab's names and numbers: everything it makes on the machine is derived from its name.

So whatever a lab left behind can be found and removed without remembering it.
"""

import hashlib
import ipaddress
import itertools
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lab.errors import LabError
from lab.paths import DEFAULT_LAB, RUN, lab_name, state_dir, state_root
from lab.shell import run
from lab.spec import LabHost

DEFAULT_NUMBER = 77
NUMBERS = range(78, 250)  # of the labs with other names: the third part of 10.N.0.0/24
FIRST_ADDRESS = 10  # the host at position i gets .(10+i)
PREFIX = "aflab"
ANTHROPIC_PORT = 8999


@dataclass(frozen=True)
class Place:
    """Where a lab is on this machine."""

    name: str
    number: int

    @property
    def state(self) -> Path:
        """Return its state directory."""
        return state_dir(self.name)

    @property
    def run(self) -> Path:
        """Return its directory of sockets, gone after a reboot of the machine."""
        return RUN / self.name

    @property
    def switch(self) -> str:
        """Return the network namespace that both networks' bridges are in."""
        return f"{PREFIX}.{self.name}"

    @property
    def uplink(self) -> str:
        """Return this machine's interface on the lab's LAN (names end at 15 characters)."""
        return f"{PREFIX}{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"

    @property
    def cgroup(self) -> str:
        """Return the name of its cgroup in every hierarchy."""
        return f"{PREFIX}.{self.name}"

    @property
    def gateway(self) -> str:
        """Return this machine's address on the lab's LAN."""
        return f"10.{self.number}.0.1"

    @property
    def key(self) -> Path:
        """Return the private key that opens every host."""
        return self.state / "id_ed25519"

    def operator_key(self, name: str) -> Path:
        """Return the private key of an operator other than the first."""
        return self.state / "operators" / name

    @property
    def known_hosts(self) -> Path:
        """Return the file of the hosts' keys."""
        return self.state / "known_hosts"

    @property
    def auth_key(self) -> Path:
        """Return the file with the key that lets hosts into the lab's tailnet."""
        return self.state / "tailnet" / "auth-key"

    @property
    def anthropic(self) -> Path:
        """Return the directory of the lab's Messages API: its key, what it was asked."""
        return self.state / "anthropic"

    @property
    def anthropic_key(self) -> Path:
        """Return the file with the key that is paid with in the lab."""
        return self.anthropic / "key"

    @property
    def anthropic_url(self) -> str:
        """Return where the lab's Messages API is."""
        return f"http://{self.gateway}:{ANTHROPIC_PORT}"

    @property
    def fleet_lock(self) -> Path:
        """Return the file of what runs have learned about the lab's hosts."""
        return self.state / "fleet.lock.yaml"

    @property
    def ssh_config(self) -> Path:
        """Return the file for `ssh -F`."""
        return self.state / "ssh_config"

    def namespace(self, host: LabHost) -> str:
        """Return a host's network namespace."""
        return f"{PREFIX}.{self.name}.{host.name}"

    @property
    def tailnet_network(self) -> str:
        """Return the network of the hosts' addresses in the lab's tailnet."""
        return f"100.64.{self.number}.0/24"

    def lan(self, host: LabHost) -> str:
        """Return a host's address on the LAN."""
        return f"10.{self.number}.0.{FIRST_ADDRESS + host.index}"

    def lan6(self, host: LabHost) -> str:
        """Return a host's IPv6 address on the LAN."""
        return f"fd00:10:{self.number}::{FIRST_ADDRESS + host.index}"

    @property
    def gateway6(self) -> str:
        """Return this machine's IPv6 address on the lab's LAN."""
        return f"fd00:10:{self.number}::1"

    @property
    def tailnet(self) -> Path:
        """Return the directory of the lab's tailnet: what it knows, and a socket for each host."""
        return self.state / "tailnet"

    def tailnet_sockets(self, host: str) -> Path:
        """Return the directory that a host and the tailnet have in common."""
        return self.tailnet / "hosts" / host


def find_place(name: str | None = None) -> Place:
    """Return the lab's place: as remembered, else as it would be made now."""
    chosen = lab_name(name)
    known = _remembered(state_dir(chosen))
    return Place(chosen, known if known is not None else _free_number(chosen))


def remember(place: Place) -> None:
    """Write the lab's number down, before anything is made with it."""
    place.state.mkdir(parents=True, exist_ok=True)
    place.state.chmod(0o711)
    file = place.state / "lab.json"
    if _remembered(place.state) != place.number:
        file.with_suffix(".part").write_text(json.dumps({"number": place.number}) + "\n")
        file.with_suffix(".part").rename(file)


def settled(place: Place, hosts: Iterable[LabHost]) -> tuple[LabHost, ...]:
    """Return the hosts where they were put when they first came; others go where nobody is.

    So a host that leaves the fleet file moves none of those behind it.
    """
    known = _places(place)
    free = (number for number in itertools.count(1) if number not in known.values())
    taken = {host.name: known.get(host.name) for host in hosts}
    if known:
        taken = {name: index or next(free) for name, index in taken.items()}
    return tuple(replace(host, index=taken[host.name] or host.index) for host in hosts)


def remember_hosts(place: Place, hosts: Iterable[LabHost]) -> None:
    """Write down where the hosts are; those that have left the fleet file keep their places."""
    found = _places(place) | {host.name: host.index for host in hosts}
    file = place.state / "places.json"
    file.with_suffix(".part").write_text(json.dumps(found) + "\n")
    file.with_suffix(".part").rename(file)


def _places(place: Place) -> dict[str, int]:
    try:
        said = json.loads((place.state / "places.json").read_text())
    except (OSError, ValueError):
        return {}
    return {str(name): int(index) for name, index in said.items()}


def _remembered(state: Path) -> int | None:
    try:
        number = json.loads((state / "lab.json").read_text())["number"]
    except (OSError, ValueError, KeyError):
        return None
    return number if isinstance(number, int) else None


def _free_number(name: str) -> int:
    taken = {_remembered(other) for other in state_root().glob("*") if other.name != name}
    start = int(hashlib.sha256(name.encode()).hexdigest(), 16) % len(NUMBERS)
    order = [*NUMBERS[start:], *NUMBERS[:start]]
    candidates = [DEFAULT_NUMBER] if name == DEFAULT_LAB else order
    routes = _routes(Place(name, 0).uplink)
    for number in candidates:
        tailnet = Place(name, number).tailnet_network
        nets = [ipaddress.ip_network(net) for net in (tailnet, f"10.{number}.0.0/24")]
        if number not in taken and not any(net.overlaps(r) for net in nets for r in routes):
            return number
    raise LabError(
        f"no free addresses for the lab {name}: this machine already has routes to "
        f"10.{candidates[0]}.0.0/24 or 100.64.{candidates[0]}.0/24.\n"
        "Take another lab name (--name), which gets other addresses."
    )


def _routes(own: str) -> list[ipaddress.IPv4Network]:
    """Return this machine's routes, without the default one, the lab's own and dead ends."""
    if not shutil.which("ip"):
        return []
    listed = run(["ip", "-4", "-j", "route", "show", "table", "main"], check=False).stdout
    routes = json.loads(listed or "[]")
    return [
        ipaddress.IPv4Network(route["dst"], strict=False)
        for route in routes
        if route["dst"] != "default"
        and route.get("dev") != own
        and route.get("type") != "unreachable"
    ]
