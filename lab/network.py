"""Two networks per lab: the LAN, which this machine is on too, and the tailnet, which it is not.

Addresses there are unreachable from here, rather than somebody else's in a network beyond.

Both bridges live in a namespace of their own, and each host has one; so removing the namespaces
removes all of it but this machine's own end.
"""

import json
from pathlib import Path

from lab.place import Place
from lab.shell import run
from lab.spec import LabHost

NETNS = Path("/run/netns")


def ensure_switch(place: Place) -> None:
    """Make the bridges and this machine's end, from scratch."""
    remove_switch(place)
    run(["ip", "netns", "add", place.switch])
    _batch(
        place.switch,
        "link set lo up",
        "link add lan type bridge",
        "link add tail type bridge",
        "link set lan up",
        "link set tail up",
    )
    run(["ip", "link", "add", place.uplink, *_peer("up0", place.switch)])
    _batch(place.switch, "link set up0 master lan", "link set up0 up")
    # A fixed address at both ends: a random one after a restart costs seconds of stale neighbours.
    run(["ip", "link", "set", place.uplink, "address", f"02:00:0a:{place.number:02x}:00:01"])
    run(["ip", "addr", "add", f"{place.gateway}/24", "brd", "+", "dev", place.uplink])
    # This machine may have IPv6 switched off; the hosts have it all the same.
    run(["ip", "addr", "add", f"{place.gateway6}/64", "dev", place.uplink, "nodad"], check=False)
    run(["ip", "link", "set", place.uplink, "up"])
    run(["ip", "route", "replace", *_unreachable(place)])


def switch_is_complete(place: Place) -> bool:
    """Tell whether the networks are there as ensure_switch makes them."""
    if place.switch not in namespaces():
        return False
    listed = run(["ip", "-n", place.switch, "-j", "link", "show"], check=False).stdout
    inside = {link["ifname"]: link for link in json.loads(listed or "[]")}
    uplink = run(["ip", "-j", "addr", "show", "dev", place.uplink], check=False).stdout
    ends = json.loads(uplink or "[]")
    addresses = [a.get("local") for end in ends for a in end.get("addr_info", [])]
    attached = inside.get("up0", {}).get("master") == "lan"
    return attached and "tail" in inside and place.gateway in addresses


def remove_switch(place: Place) -> None:
    """Remove the bridges and this machine's end."""
    if Path(f"/sys/class/net/{place.uplink}").exists():
        run(["ip", "link", "del", place.uplink], check=False)
    run(["ip", "route", "del", *_unreachable(place)], check=False)
    _remove_namespace(place.switch)


def connect(place: Place, host: LabHost) -> None:
    """Make a host's namespace anew: eth0 on the LAN, a second interface for the tailnet.

    That one is down and has no address until the host has joined: lab/tailnet sees to it. There
    is no default route: the hosts have no internet.
    """
    inside, tail = place.namespace(host), host.tailnet_interface
    _remove_namespace(inside)
    run(["ip", "netns", "add", inside])
    lan_port, tail_port = f"l{host.index}", f"t{host.index}"
    last = 10 + host.index
    _batch(
        place.switch,
        # A port of a host that died may be left for a moment: the kernel removes it later.
        f"link add {lan_port} {' '.join(_peer('eth0', inside))}",
        f"link add {tail_port} {' '.join(_peer(tail, inside))}",
        f"link set {lan_port} master lan",
        f"link set {lan_port} up",
        f"link set {tail_port} master tail",
        f"link set {tail_port} up",
        stale=(lan_port, tail_port),
    )
    _batch(
        inside,
        "link set lo up",
        f"link set eth0 address 02:00:0a:{place.number:02x}:00:{last:02x}",
        f"link set {tail} address 02:00:64:{place.number:02x}:00:{last:02x}",
        f"addr add {place.lan(host)}/24 brd + dev eth0",
        f"addr add {place.lan6(host)}/64 dev eth0 nodad",
        "link set eth0 up",
    )


def remove_hosts(place: Place) -> None:
    """Remove every host's namespace, also of hosts that the fleet no longer has."""
    for name in namespaces():
        if name.startswith(f"{place.switch}."):
            _remove_namespace(name)


def disconnect(place: Place, host: LabHost) -> None:
    """Remove one host's namespace."""
    _remove_namespace(place.namespace(host))


def namespaces() -> set[str]:
    """Return the names of all network namespaces of this machine."""
    return {file.name for file in NETNS.iterdir()} if NETNS.exists() else set()


def _remove_namespace(name: str) -> None:
    if name in namespaces():
        run(["ip", "netns", "del", name], check=False)
        # A namespace whose making was cut off is a plain file.
        (NETNS / name).unlink(missing_ok=True)


def _unreachable(place: Place) -> list[str]:
    """The lab's tailnet as a route that leads nowhere, and gives way to any other."""
    return ["unreachable", place.tailnet_network, "metric", "4000000000"]


def _peer(name: str, namespace: str) -> list[str]:
    return ["type", "veth", "peer", "name", name, "netns", namespace]


def _batch(namespace: str, *lines: str, stale: tuple[str, ...] = ()) -> None:
    for port in stale:
        run(["ip", "-n", namespace, "link", "del", port], check=False)
    run(["ip", "-n", namespace, "-batch", "-"], stdin="\n".join(lines) + "\n")
