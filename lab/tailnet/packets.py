"""The policy as a packet filter of the lab's switch, where no host can flush it.

As in Tailscale, of a TCP connection only the first packet is judged, so a closed door ends no talk.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping

from lab.tailnet.nodes import Node, Tailnet
from lab.tailnet.policy import Grant, Policy, Ports

TABLE = "table bridge standin_tailnet"
FIRST_PACKET = "tcp flags & (syn | ack) == syn"
NEIGHBOURS = (
    "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert, "
    "mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept"
)
FAMILIES = (("ip", 4, "icmp"), ("ip6", 6, "ipv6-icmp"))


def filter_text(tailnet: Tailnet, online: Mapping[str, Node], now: float) -> str:
    """The filter for `nft -f`: `online` says which port of the switch each running node is at."""
    rules = ['iifname != "t*" accept', "ether type arp accept"]
    rules += [rule for port, node in online.items() for rule in _own_address(tailnet, port, node)]
    # What is not in the tailnet may have an interface that is up, and addresses of its choice.
    ports = _set(f'"{port}"' for port in online)
    rules.append(f"iifname != {ports} drop" if online else "drop")
    rules.append(NEIGHBOURS)
    if tailnet.rules is not None:
        nodes = [node for node in tailnet.nodes if not node.needs_login(now)]
        rules += _policy(tailnet, tailnet.rules, nodes)
        rules += ["tcp flags & (syn | ack) != syn accept", "ether type { ip, ip6 } drop"]
    body = "\n".join(f"    {rule}" for rule in rules)
    chain = "type filter hook forward priority 0; policy accept;"
    return (
        f"{TABLE}\ndelete {TABLE}\n{TABLE} {{\n  chain forward {{\n    {chain}\n{body}\n  }}\n}}\n"
    )


def _own_address(tailnet: Tailnet, port: str, node: Node) -> Iterator[str]:
    """Nobody speaks from an address that is not his; WireGuard sees to that in reality."""
    ipv4, ipv6 = tailnet.addresses(node)
    yield f'iifname "{port}" ip saddr != {ipv4} drop'
    yield f'iifname "{port}" ip6 saddr != {{ {ipv6}, fe80::/10, :: }} drop'


def _policy(tailnet: Tailnet, policy: Policy, nodes: list[Node]) -> Iterator[str]:
    pairs = [(a, b) for a in nodes for b in nodes if a is not b and tailnet.sees(a, b)]
    for index, (family, version, icmp) in enumerate(FAMILIES):
        seen = [f"{tailnet.addresses(a)[index]} . {tailnet.addresses(b)[index]}" for a, b in pairs]
        if seen:
            yield f"{family} saddr . {family} daddr {_set(seen)} meta l4proto {icmp} accept"
        for grant in policy.grants:
            src = _meant(tailnet, policy, grant.src, nodes, version)
            dst = _meant(tailnet, policy, grant.dst, nodes, version)
            if src and dst:
                yield from _rules(family, _set(src), _set(dst), grant)


def _meant(
    tailnet: Tailnet, policy: Policy, selectors: Iterable[str], nodes: list[Node], version: int
) -> list[str]:
    """The addresses that selectors of a grant mean, of one version of IP.

    An alias means the address that it was given, not its node's other one.
    """
    found = []
    for node in nodes:
        subject = tailnet.subject(node)
        for address in subject.addresses:
            one = type(subject)(subject.tags, subject.owner, (address,))
            right = ipaddress.ip_address(address).version == version
            if right and any(policy.matches(selector, one) for selector in selectors):
                found.append(address)
    return found


def _rules(family: str, src: str, dst: str, grant: Grant) -> Iterator[str]:
    way = f"{family} saddr {src} {family} daddr {dst}"
    back = f"{family} saddr {dst} {family} daddr {src}"
    for protocol in ("tcp", "udp"):
        ports = [one for one in grant.ports if one.protocol in (protocol, "*")]
        if not ports:
            continue
        shown = _set(_ranges(ports))
        if protocol == "tcp":
            yield f"{way} tcp dport {shown} {FIRST_PACKET} accept"
        else:
            yield f"{way} udp dport {shown} accept"
            yield f"{back} udp sport {shown} accept"


def _ranges(ports: Iterable[Ports]) -> Iterator[str]:
    """Ports for a set, which refuses ranges that overlap."""
    merged: list[list[int]] = []
    for first, last in sorted((one.first, one.last) for one in ports):
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(last, merged[-1][1])
        else:
            merged.append([first, last])
    return (str(first) if first == last else f"{first}-{last}" for first, last in merged)


def _set(members: Iterable[str]) -> str:
    return f"{{ {', '.join(dict.fromkeys(members))} }}"
