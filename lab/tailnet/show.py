"""What `tailscale status` and `whois` show, in Tailscale's own shapes."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lab.tailnet.nodes import LOGIN, SUFFIX, Node, Tailnet

VERSION = "1.80.0"
TAGGED_DEVICES = 6000  # the number of the user that tagged nodes belong to, far from people's


@dataclass(frozen=True)
class World:
    """Everything at one moment. `running`: machines whose node is connected to the others."""

    tailnet: Tailnet
    running: frozenset[str]
    systems: dict[str, str]  # lab host → linux, macOS or windows
    now: float


def backend_state(world: World, node: Node | None) -> str:
    """How it stands with a host's tailscaled, which runs."""
    if node is None or node.needs_login(world.now):
        return "NeedsLogin"
    return "Running" if node.wanted else "Stopped"


def status(world: World, node: Node | None, peers: bool, auth_url: str) -> dict[str, Any]:
    """`tailscale status --json`."""
    state = backend_state(world, node)
    part = node if node and state != "NeedsLogin" else None
    seen = list(world.tailnet.peers(part, world.now)) if part and state == "Running" else []
    addresses = list(world.tailnet.addresses(part)) if part else None
    return {
        "Version": VERSION,
        "TUN": True,
        "BackendState": state,
        "HaveNodeKey": part is not None,
        "AuthURL": auth_url if state == "NeedsLogin" else "",
        "TailscaleIPs": addresses,
        "Self": describe(world, node) if node else {"ID": "", "HostName": "", "DNSName": "",
                                                    "TailscaleIPs": None, "Online": False},
        "Health": [] if state == "Running" else [_health(state)],
        "MagicDNSSuffix": SUFFIX if part else "",
        "CurrentTailnet": {"Name": LOGIN, "MagicDNSSuffix": SUFFIX, "MagicDNSEnabled": True}
        if part
        else None,
        "CertDomains": None,
        "Peer": {_key(one): describe(world, one) for one in seen} if peers and seen else None,
        "User": {str(user_id(one)): user(one) for one in [part, *seen]} if part else None,
        "ClientVersion": None,
    }  # fmt: skip


def _health(state: str) -> str:
    return "Tailscale is stopped." if state == "Stopped" else "You are logged out."


def describe(world: World, node: Node) -> dict[str, Any]:
    """One node, as `Self` and as `Peer`."""
    addresses = list(world.tailnet.addresses(node))
    shown: dict[str, Any] = {
        "ID": f"n{node.number}LAB",
        "PublicKey": _key(node),
        "HostName": node.hostname,
        "DNSName": f"{node.dns_name}.",
        "OS": world.systems.get(node.host, "linux"),
        "UserID": user_id(node),
        "TailscaleIPs": None if node.needs_login(world.now) else addresses,
        "AllowedIPs": [f"{addresses[0]}/32", f"{addresses[1]}/128"],
        "Online": node.machine in world.running,
        "ExitNode": False,
        "Active": False,
    }
    if node.tags:
        shown["Tags"] = list(node.tags)
    if node.expires is not None:
        shown["KeyExpiry"] = rfc3339(node.expires)
    if node.needs_login(world.now):
        shown["Expired"] = True
    return shown


def _key(node: Node) -> str:
    return f"nodekey:{hashlib.sha256(node.machine.encode()).hexdigest()}"


def user_id(node: Node) -> int:
    """The number of a node's user."""
    if node.tags:
        return TAGGED_DEVICES
    return int(hashlib.sha256(node.owner.encode()).hexdigest()[:8], 16)


def user(node: Node) -> dict[str, Any]:
    """A node's user; all tagged nodes have the same."""
    login = "tagged-devices" if node.tags else node.owner
    name = "Tagged Devices" if node.tags else login.partition("@")[0]
    return {"ID": user_id(node), "LoginName": login, "DisplayName": name}


def rfc3339(moment: float) -> str:
    """A moment as Go writes it in JSON."""
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def table(world: World, nodes: Sequence[Node]) -> Iterable[str]:
    """`tailscale status` for people, the own node first."""
    for node in nodes:
        who = "tagged-devices" if node.tags else f"{node.owner.partition('@')[0]}@"
        how = "-" if node.machine in world.running else "offline"
        system = world.systems.get(node.host, "linux")
        address = world.tailnet.ipv4(node)
        yield f"{address:<15} {node.label:<20} {who:<12} {system:<7} {how}"


def whois(world: World, node: Node, as_json: bool) -> list[str]:
    """`tailscale whois`."""
    described, person = describe(world, node), user(node)
    if as_json:
        shown = {
            "Node": {
                "ID": node.number,
                "StableID": described["ID"],
                "Name": described["DNSName"],
                "User": person["ID"],
                "Key": described["PublicKey"],
                "Addresses": described["AllowedIPs"],
                "Hostinfo": {"OS": described["OS"], "Hostname": node.hostname},
                **({"Tags": list(node.tags)} if node.tags else {}),
                "Online": described["Online"],
                "ComputedName": node.label,
            },
            "UserProfile": person,
            "CapMap": None,
        }
        return json.dumps(shown, indent=2).splitlines()
    lines = [
        "Machine:",
        f"  Name:          {node.dns_name}",
        f"  ID:            {described['ID']}",
        f"  Addresses:     [{' '.join(described['AllowedIPs'])}]",
    ]
    if node.tags:
        return [*lines, f"  Tags:          {', '.join(node.tags)}"]
    return [*lines, "User:", f"  Name:     {person['LoginName']}", f"  ID:       {person['ID']}"]
