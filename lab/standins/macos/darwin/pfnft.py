"""Translates pf's rulesets to an nft table that filters as pf would."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Final

from .pfrules import FAMILIES, MAIN, NOTHING, End, Network, Rule, Rulesets, addresses, reachable

TABLE: Final = "inet standin_pf"
HOOKS: Final = {"in": "input", "out": "output"}  # pf's direction -> nft's hook and chain
INTERFACE: Final = {"in": "iifname", "out": "oifname"}
LOOPBACK: Final = {"lo0": "lo"}
PROTOS: Final = {"icmp6": "ipv6-icmp"}
MARK_BITS: Final = 32
SYN: Final = "tcp flags & (syn | ack) == syn"
# pf's states are bits of conntrack's mark. A packet over the loopback goes out and comes in again,
# and needs a state for each. So there are two kinds: ONWARD lets pass what comes in the way of the
# connection's first packet and goes out the way of its replies; BACKWARD the reverse.
ONWARD, BACKWARD = 0, 1
KINDS: Final = {  # of a state, for a packet's hook and its direction in conntrack
    ("in", "original"): ONWARD,
    ("in", "reply"): BACKWARD,
    ("out", "original"): BACKWARD,
    ("out", "reply"): ONWARD,
}
# pf does not filter its own answers. Here they go out, and over the loopback in again.
OWN_WAY: Final = {"in": 'iifname "lo" ', "out": ""}
OWN: Final = (
    "ct state related tcp flags & rst == rst accept",
    "ct state related,invalid icmp type destination-unreachable accept",
    "ct state related,invalid icmpv6 type destination-unreachable accept",
)
REFUSE: Final = (
    "meta l4proto tcp reject with tcp reset",
    "meta l4proto { icmp, ipv6-icmp } drop",
    "reject with icmpx type port-unreachable",
)


def render(rulesets: Rulesets, flushes: int = 0) -> str:
    """Text for `nft -f`: the table replaced in one step; no rules, no table.

    `flushes` is how often the states have been flushed.
    """
    lines = [f"add table {TABLE}", f"delete table {TABLE}"]
    rules = list(reachable(rulesets))
    if rules:
        chains = [*base_chains(rulesets, rules, flushes), chain("refuse", REFUSE)]
        lines.append(f"table {TABLE} {{\n{''.join(chains)}}}")
    return "\n".join(lines) + "\n"


def chain(name: str, rules: Iterable[str]) -> str:
    """A chain with its rules."""
    return "\n\t\t".join([f"\tchain {name} {{", *rules]) + "\n\t}\n"


def base_chains(rulesets: Rulesets, rules: list[tuple[str, Rule]], flushes: int) -> Iterator[str]:
    """For each hook the chain that the kernel calls, and the one that makes states.

    In nft the first match decides. In pf the last one does, unless a rule is quick. So quick rules
    come first, in their order, then the others from the last to the first.
    """
    ordered = [pair for pair in rules if pair[1].quick]
    ordered += [pair for pair in reversed(rules) if not pair[1].quick]
    for way, hook in HOOKS.items():
        body = [f"type filter hook {hook} priority filter; policy accept;"]
        for name in rulesets.get(MAIN, NOTHING).skip:
            body.append(f"{on(name, way)} accept")
        body += [OWN_WAY[way] + line for line in OWN]
        body += [f"{flow} ct mark & {bit} == {bit} accept" for flow, bit in states(way, flushes)]
        for path, rule in ordered:
            if rule.direction in ("", way):
                body += translate(rule, way, path, rulesets)
        keep = [f"{flow} ct mark set ct mark | {bit}" for flow, bit in states(way, flushes)]
        yield chain(hook, body)
        yield chain(f"keep_{hook}", [*keep, "accept"])


def states(way: str, flushes: int) -> Iterator[tuple[str, str]]:
    """For both of conntrack's directions what matches it, and the bit of its state.

    Bits cannot be taken from all connections at once, so each flush goes on to the next pair.
    """
    for direction in ("original", "reply"):
        bit = 1 << (2 * flushes + KINDS[way, direction]) % MARK_BITS
        yield f"ct direction {direction}", f"{bit:#x}"


def translate(rule: Rule, way: str, path: str, rulesets: Rulesets) -> Iterator[str]:
    """The nft rules of one pf rule: one for each family that its ends name, else one."""
    named = rule.family or rule.source.host or rule.target.host
    versions = [v for v in FAMILIES if rule.family in ("", FAMILIES[v])] if named else [0]
    for version in versions:
        hosts = [
            match_host(rule.source, "saddr", version, path, rulesets),
            match_host(rule.target, "daddr", version, path, rulesets),
        ]
        if None in hosts:
            continue
        family = f"meta nfproto ipv{version}" if version else ""
        for transport in match_transport(rule):
            words = [on(rule.interface, way), family, *hosts, *transport, verdict(rule, way)]
            yield " ".join(word for word in words if word)


def on(interface: str, way: str) -> str:
    """What matches an interface; "" for all."""
    name = LOOPBACK.get(interface, interface)
    return f'{INTERFACE[way]} "{name}"' if name else ""


def match_host(end: End, side: str, version: int, path: str, rulesets: Rulesets) -> str | None:
    """What matches an end's host in a family; "" for any, None when nothing of it can match."""
    if end.host == "":
        return ""
    host = end.host
    networks = addresses(rulesets, path, host) if isinstance(host, str) else (host,)
    texts = [str(network) for network in merged(networks, version)]
    if not texts:
        return None
    return f"{'ip' if version == 4 else 'ip6'} {side} {{ {', '.join(texts)} }}"


def merged(networks: tuple[Network, ...], version: int) -> Iterator[Network]:
    """The networks of a family, without those inside others, which nft would refuse."""
    if version == 4:
        return collapse_addresses([n for n in networks if isinstance(n, IPv4Network)])
    return collapse_addresses([n for n in networks if isinstance(n, IPv6Network)])


def match_transport(rule: Rule) -> Iterator[list[str]]:
    """What matches protocol, ports, user and flags; S/SA without a protocol is a matter of two."""
    if rule.syn and not rule.proto:
        yield [SYN]
        yield ["meta l4proto != tcp"]
        return
    words = [f"meta l4proto {PROTOS.get(rule.proto, rule.proto)}"] if rule.proto else []
    for end, side in ((rule.source, "sport"), (rule.target, "dport")):
        if end.ports:
            first, last = end.ports
            words.append(f"{rule.proto} {side} {first}" + (f"-{last}" if last != first else ""))
    words += [f"meta skuid {rule.user}"] if rule.user is not None else []
    yield [*words, SYN] if rule.syn else words


def verdict(rule: Rule, way: str) -> str:
    """How a matching packet ends."""
    if rule.action == "block":
        return "goto refuse" if rule.returns else "drop"
    return f"goto keep_{HOOKS[way]}" if rule.state else "accept"
