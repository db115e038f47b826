"""A lab's links made as slow as real ones: token buckets on every interface, a link between sites.

All of it is in the lab's own namespaces and on this machine's end of its LAN, so it goes with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from lab.api import Lab
from lab.shell import run
from lab.spec import LabHost

NETWORKS = {"lan": "l", "tail": "t"}  # bridge → first letter of its hosts' ports
# The lab judges by the port who comes from a host, and takes ports called t… for hosts' own.
LINK = "site-{network}-{end}"  # of 15 characters at most
FAR_BRIDGE = "{network}-far"
BUCKET = ("burst", "256kb", "limit", "1mb")  # of 8 MB/s that is a thirtieth of a second


def shape(lab: Lab, *, uplink: int, host: int, centre: str) -> None:
    """Limit every host's interfaces to `host` MB/s each way.

    And this machine's, and the host's that is called `centre`, to `uplink`.
    """
    place = lab.place
    _limit(None, place.uplink, uplink)
    _limit(place.switch, "up0", uplink)
    for one in lab.hosts:
        rate = uplink if one.name == centre else host
        for interface in ("eth0", one.tailnet_interface):
            _limit(place.namespace(one), interface, rate)
        for port in _ports(one).values():
            _limit(place.switch, port, rate)


def join(lab: Lab, far: Iterable[str], rate: int) -> None:
    """Put these hosts behind a link of `rate` MB/s each way, on the LAN and in the tailnet."""
    switch = lab.place.switch
    moved = [one for one in lab.hosts if one.name in set(far)]
    for network in NETWORKS:
        bridge = FAR_BRIDGE.format(network=network)
        near, there = (_end(network, end) for end in ("near", "far"))
        _ip(switch, "link", "add", bridge, "type", "bridge")
        _ip(switch, "link", "add", near, "type", "veth", "peer", "name", there)
        _ip(switch, "link", "set", near, "master", network)
        _ip(switch, "link", "set", there, "master", bridge)
        for name in (bridge, near, there):
            _ip(switch, "link", "set", name, "up")
        for one in moved:
            _ip(switch, "link", "set", _ports(one)[network], "master", bridge)
        _limit(switch, near, rate)
        _limit(switch, there, rate)


def sent(lab: Lab) -> float:
    """Megabytes that the link between the sites has carried to the far one so far."""
    found = 0
    for network in NETWORKS:
        told = ["tc", "-n", lab.place.switch, "-s", "-j", "qdisc", "show", "dev"]
        found += json.loads(run([*told, _end(network, "near")]).stdout)[0]["bytes"]
    return found / 1_000_000


def _end(network: str, end: str) -> str:
    return LINK.format(network=network, end=end)


def _ports(host: LabHost) -> dict[str, str]:
    """Network → the switch's port that the host is at (lab/network.py)."""
    return {network: f"{letter}{host.index}" for network, letter in NETWORKS.items()}


def _ip(namespace: str, *words: str) -> None:
    run(["ip", "-n", namespace, *words])


def _limit(namespace: str | None, interface: str, rate: int) -> None:
    """Limit what leaves by the interface; without a namespace it is this machine's own."""
    where = ["-n", namespace] if namespace else []
    bucket = ["root", "tbf", "rate", f"{rate}mbps", *BUCKET]  # tc's mbps are megabytes a second
    run(["tc", *where, "qdisc", "replace", "dev", interface, *bucket])
