"""The `tailscale` command, as every host's tailscaled answers it: words, exit codes, effects.

All of it is about one World; nothing here waits or touches a host.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lab.tailnet import flags, show
from lab.tailnet.flags import WrongFlagsError, parse
from lab.tailnet.nodes import Node, Prefs, Refused
from lab.tailnet.serving import serve
from lab.tailnet.show import VERSION, World, backend_state

FOREVER = float("inf")
PING_S = 5.0  # how long one ping waits, without --timeout
PINGS = 10


@dataclass
class Answer:
    """What the command prints and ends with; after `silence` seconds come the `last` words."""

    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    code: int = 0
    silence: float = 0.0
    last: list[str] = field(default_factory=list)  # on stderr


@dataclass(frozen=True)
class Caller:
    """Who asks: on which host, with which secret's digest, and whether he may change anything."""

    host: str
    machine: str
    may_change: bool
    default_name: str  # the host's own name
    key: str = ""  # what stands in the file that --auth-key=file:… names


def run(world: World, caller: Caller, words: Sequence[str]) -> Answer:
    """Answer one command line."""
    verb = words[0] if words else ""
    if verb in ("version", "--version", "-version"):
        return Answer([VERSION, "  tailscale commit: (the lab's stand-in)"])
    if verb not in VERBS:
        return _no(f"tailscale (stand-in): {verb or 'a bare tailscale'} is not covered")
    try:
        return VERBS[verb](world, caller, list(words[1:]))
    except WrongFlagsError as error:
        return _no(*str(error).split("\n"))
    except Refused as error:
        return _no(f"backend error: {error}")


def auth_url(caller: Caller) -> str:
    """Where a person would log this machine in."""
    token = hashlib.sha256(f"login {caller.machine}".encode()).hexdigest()[:12]
    return f"https://login.example/a/{token}"


def _no(*lines: str, code: int = 1) -> Answer:
    return Answer(err=list(lines), code=code)


def _denied(verb: str, why: str) -> Answer:
    return _no(
        f"Access denied: {why} access denied",
        "",
        f"Use 'sudo tailscale {verb}'.",
        "To not require root, use 'sudo tailscale set --operator=$USER' once.",
    )


def _up(world: World, caller: Caller, words: list[str]) -> Answer:
    given, rest = parse(words, flags.UP)
    if rest:
        return _no(f'too many non-flag arguments: ["{rest[0]}"]')
    if not caller.may_change:
        return _denied("up", "checkprefs")
    timeout = flags.seconds(str(given.get("timeout", "0s")))
    node = world.tailnet.of_machine(caller.machine)
    state = backend_state(world, node)
    settings = {name: value for name, value in given.items() if name in flags.SETTINGS}
    kept = node.prefs if node and node.logged_in and not given.get("reset") else {}
    if said := flags.reverted(given, kept):
        return _no(*said.removesuffix("\n").split("\n"))
    tags = [tag for tag in str(settings.get("advertise-tags", "")).split(",") if tag]
    wrong = [tag for tag in tags if not re.fullmatch(r"tag:[A-Za-z][A-Za-z0-9-]*", tag)]
    if wrong:
        return _no(f"tag: \"{wrong[0]}\": tags must start with 'tag:'")
    if node and state != "NeedsLogin" and not given.get("force-reauth"):
        return _change(world, caller, node, settings, tags, bare=not given)
    return _login(world, caller, given, settings, tags, timeout)


def _change(
    world: World, caller: Caller, node: Node, settings: Prefs, tags: list[str], *, bare: bool
) -> Answer:
    """`up` of a node that is logged in: it needs no key, and looks at none."""
    if not bare:
        if tuple(tags) != node.tags:
            world.tailnet.tag(node, tags, world.now)
        node.prefs = settings
        world.tailnet.rename(node, str(settings.get("hostname") or caller.default_name))
    node.wanted = True
    return Answer()


def _login(
    world: World, caller: Caller, given: Prefs, settings: Prefs, tags: list[str], timeout: float
) -> Answer:
    if not given.get("auth-key"):
        return Answer(
            err=["", "To authenticate, visit:", "", f"\t{auth_url(caller)}", ""],
            code=1,
            silence=timeout or FOREVER,
            last=[
                "timeout waiting for Tailscale service to enter a Running state; "
                'check health with "tailscale status"'
            ],
        )
    stated = str(given["auth-key"])
    key = world.tailnet.key(caller.key if stated.startswith("file:") else stated)
    name = str(settings.get("hostname") or caller.default_name)
    node = world.tailnet.join(caller.machine, caller.host, name, key.owner, tags, world.now)
    node.prefs = settings
    return Answer()


def _set(world: World, caller: Caller, words: list[str]) -> Answer:
    given, rest = parse(words, flags.SET)
    if rest:
        return _no(f'too many non-flag arguments: ["{rest[0]}"]')
    if not given:
        return _no("flag: help requested")
    if not caller.may_change:
        return _denied("set", "prefs write")
    node = world.tailnet.of_machine(caller.machine)
    if node is None:
        return _no("tailscale (stand-in): set before the first login is not covered")
    node.prefs.update({k: v for k, v in given.items() if k in flags.SETTINGS})
    if "hostname" in given:
        world.tailnet.rename(node, str(given["hostname"] or caller.default_name))
    return Answer()


def _down(world: World, caller: Caller, words: list[str]) -> Answer:
    parse(words, {"accept-risk": "", "reason": ""})
    if not caller.may_change:
        return _denied("down", "prefs write")
    node = world.tailnet.of_machine(caller.machine)
    if node is None or backend_state(world, node) != "Running":
        return Answer(err=["Tailscale was already stopped."])
    node.wanted = False
    return Answer()


def _logout(world: World, caller: Caller, words: list[str]) -> Answer:
    parse(words, {"reason": ""})
    if not caller.may_change:
        return _denied("logout", "logout")
    if node := world.tailnet.of_machine(caller.machine):
        node.logged_in, node.prefs, node.serve = False, {}, {}
    return Answer()


def _status(world: World, caller: Caller, words: list[str]) -> Answer:
    known: dict[str, str | bool] = {
        "json": False, "peers": True, "self": True, "active": False, "web": False,
    }  # fmt: skip
    given, _ = parse(words, known)
    node = world.tailnet.of_machine(caller.machine)
    peers = given.get("peers", True) is True
    if given.get("json"):
        shown = show.status(world, node, peers, auth_url(caller))
        return Answer(json.dumps(shown, indent=2).splitlines())
    state = backend_state(world, node)
    if state == "Stopped":
        return Answer(["Tailscale is stopped."], code=1)
    if node is None or state != "Running":
        return Answer(["Logged out.", f"Log in at: {auth_url(caller)}"], code=1)
    nodes = [node] if given.get("self", True) else []
    others = world.tailnet.peers(node, world.now) if peers else ()
    return Answer([*show.table(world, [*nodes, *others])])


def _ip(world: World, caller: Caller, words: list[str]) -> Answer:
    given, rest = parse(words, {"1": False, "4": False, "6": False})
    node = world.tailnet.of_machine(caller.machine)
    if node is None or backend_state(world, node) == "NeedsLogin":
        return _no(f"no current Tailscale IPs; state: {backend_state(world, node)}")
    found: Node | None = node
    if rest:
        found = _peer(world, node, rest[0])
        if found is None:
            return _no(f"no peer found with IP {rest[0]}" if _is_ip(rest[0]) else _unknown(rest[0]))
    assert found is not None  # noqa: S101 - the node itself, or a peer
    ipv4, ipv6 = world.tailnet.addresses(found)
    if given.get("4") or given.get("1"):
        return Answer([ipv4])
    return Answer([ipv6] if given.get("6") else [ipv4, ipv6])


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _unknown(name: str) -> str:
    return f'error looking up IP of "{name}": lookup {name}: no such host'


def _peer(world: World, node: Node, text: str) -> Node | None:
    """The node itself or a peer, by name or address."""
    for other in [node, *world.tailnet.peers(node, world.now)]:
        same_name = other is world.tailnet.named(text)
        if same_name or text in world.tailnet.addresses(other):
            return other
    return None


def _ping(world: World, caller: Caller, words: list[str]) -> Answer:
    known: dict[str, str | bool] = {
        "c": "10", "timeout": "5s", "until-direct": True, "verbose": False, "tsmp": False,
        "icmp": False, "peerapi": False, "size": "0",
    }  # fmt: skip
    given, rest = parse(words, known)
    if len(rest) != 1:
        return _no("usage: tailscale ping <hostname-or-IP>")
    node = world.tailnet.of_machine(caller.machine)
    state = backend_state(world, node)
    if node is None or state != "Running":
        said = {"Stopped": "Tailscale is stopped.", "NeedsLogin": "Logged out."}[state]
        return Answer([said], code=1)
    peer, count = _peer(world, node, rest[0]), int(str(given.get("c", PINGS)))
    if peer is None:
        return _no("no matching peer" if _is_ip(rest[0]) else _unknown(rest[0]))
    address = rest[0] if _is_ip(rest[0]) else world.tailnet.ipv4(peer)
    if peer is node:
        return Answer([f"{address} is local Tailscale IP"])
    if peer.machine not in world.running:
        lost = [f'ping "{address}" timed out'] * count
        waited = flags.seconds(str(given.get("timeout", "5s"))) * count
        return Answer(lost, code=1, silence=waited, last=["no reply"])
    pong = f"pong from {peer.label} ({address}) via {peer.host}:41641 in 1ms"
    return Answer([pong] * (1 if given.get("until-direct", True) else count))


def _whois(world: World, caller: Caller, words: list[str]) -> Answer:
    given, rest = parse(words, {"json": False, "proto": ""})
    if len(rest) != 1:
        return _no("missing argument, expected one peer")
    text = rest[0]
    bracketed = re.fullmatch(r"\[(.*)\]:\d+", text)
    address = bracketed[1] if bracketed else text.partition(":")[0] if "." in text else text
    node = world.tailnet.of_machine(caller.machine)
    running = node is not None and backend_state(world, node) == "Running"
    found = _peer(world, node, address) if node and running and _is_ip(address) else None
    if found is None:
        return _no("peer not found")
    return Answer(show.whois(world, found, given.get("json") is True))


def _serve(world: World, caller: Caller, words: list[str]) -> Answer:
    node = world.tailnet.of_machine(caller.machine)
    if node is None or backend_state(world, node) == "NeedsLogin":
        return _no("Logged out.")
    if words[:1] != ["status"] and not caller.may_change:
        return _denied("serve", "serve config")
    return Answer(serve(node, words))


VERBS: dict[str, Callable[[World, Caller, list[str]], Answer]] = {
    "up": _up,
    "down": _down,
    "set": _set,
    "logout": _logout,
    "status": _status,
    "ip": _ip,
    "ping": _ping,
    "whois": _whois,
    "serve": _serve,
}


def names(world: World, node: Node) -> Iterable[str]:
    """The lines of MagicDNS for a node: itself and its peers, by full and short name."""
    for one in [node, *world.tailnet.peers(node, world.now)]:
        for address in world.tailnet.addresses(one):
            yield f"{address} {one.dns_name} {one.label}"
