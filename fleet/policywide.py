"""What in a tailnet's policy opens the fleet's doors to anybody, so that ours closes nothing.

Grants only add up: none can narrow another. So a grant for everybody defeats all of the fleet's.
"""

from __future__ import annotations

import ipaddress
import re
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.doors import Who, doors
from fleet.hujson import Document
from fleet.model import Host
from fleet.policy import Policy, tag_of
from fleet.policymerge import elements_of, is_our_element, section_of
from fleet.problems import Problem

_MEMBERS = frozenset({"autogroup:member", "autogroup:members"})
_ANYONE = _MEMBERS | {"*", "autogroup:tagged", "autogroup:shared", "autogroup:danger-all"}
_TCP = ("", "tcp", "6")
_PORTS = re.compile(r"(\d+)(?:-(\d+))?")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class _Opened:
    """What one rule of somebody's opens: TCP ports of the hosts that a selector stands for."""

    dst: str
    ports: tuple[range, ...]


def defeats(document: Document, policy: Policy) -> tuple[Problem, ...]:
    """The grants and acls that let anybody through a door which is not for anybody."""
    ours = (policy.sections.get(name, {}) for name in ("groups", "hosts"))
    names = dict(ChainMap(*ours, _groups_and_hosts(document)))
    found = []
    for section in ("grants", "acls"):
        for number, (place, rule) in enumerate(elements_of(document, section)):
            if not isinstance(rule, dict) or is_our_element(section, rule, policy):
                continue
            entries = {key.casefold(): value for key, value in rule.items()}
            anyone = [one for one in _sources(entries) if _is_anyone(one, names)]
            opened = list(_of_grant(entries) if section == "grants" else _of_acl(entries))
            open_doors = _doors(opened, policy, names) if anyone else ()
            if open_doors:
                fault = f"lets {', '.join(anyone)} through the fleet's doors: {_said(open_doors)}"
                fix = "name who may go where instead: no grant of the fleet's can narrow this one"
                found.append(document.problem(place.start, [section, number], fault, fix))
    return tuple(found)


def _said(open_doors: Iterable[tuple[str, int]]) -> str:
    by_port = sorted(set(open_doors), key=lambda one: one[1])
    return ", ".join(f"{name} ({port})" for name, port in by_port)


def _groups_and_hosts(document: Document) -> dict[str, Any]:
    """Group or alias → what the policy says it is."""
    found: dict[str, Any] = {}
    for name in ("groups", "hosts"):
        section = section_of(document, name)
        content = document.data[str(section.key)] if section else {}
        found |= content if isinstance(content, dict) else {}
    return found


def _texts(value: object) -> Iterator[str]:
    yield from (one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _sources(rule: Mapping[str, object]) -> Iterator[str]:
    yield from _texts(rule.get("src", rule.get("users")))


def _of_grant(rule: Mapping[str, object]) -> Iterator[_Opened]:
    ports = []
    for one in _texts(rule.get("ip")):
        protocol, _, port = one.rpartition(":")
        if protocol in _TCP:
            ports += _ranges(port)
    yield from (_Opened(dst, tuple(ports)) for dst in _texts(rule.get("dst")))


def _of_acl(rule: Mapping[str, object]) -> Iterator[_Opened]:
    if rule.get("proto", "") not in _TCP:
        return
    for one in _texts(rule.get("dst", rule.get("ports"))):
        dst, _, port = one.rpartition(":")
        yield _Opened(dst.strip("[]"), tuple(_ranges(port)))


def _ranges(ports: str) -> list[range]:
    if ports == "*":
        return [range(1, 65536)]
    found = (_PORTS.fullmatch(one.strip()) for one in ports.split(","))
    return [range(int(one[1]), int(one[2] or one[1]) + 1) for one in found if one]


def _network(selector: object) -> Network | None:
    try:
        return ipaddress.ip_network(str(selector), strict=False)
    except ValueError:
        return None


def _is_anyone(selector: str, names: Mapping[str, Any]) -> bool:
    network = _network(names.get(selector, selector))
    return (
        selector in _ANYONE
        or selector.startswith("user:*@")
        or (network is not None and network.num_addresses > 1)
    )


def _doors(
    opened: Iterable[_Opened], policy: Policy, names: Mapping[str, Any]
) -> tuple[tuple[str, int], ...]:
    """Name and port of each opened door that is for the fleet or the orchestrator alone."""
    return tuple(
        (door.name, door.port)
        for one in opened
        for host in policy.fleet.hosts
        if _stands_for(one.dst, host, policy, names)
        for door in doors(policy.fleet, host)
        if door.who in (Who.FLEET, Who.ORCHESTRATOR)
        and any(door.port in ports for ports in one.ports)
    )


def _stands_for(selector: str, host: Host, policy: Policy, names: Mapping[str, Any]) -> bool:
    tag, meant = tag_of(host), names.get(selector, selector)
    if tag and selector in (tag, "autogroup:tagged"):
        return True
    if not tag and (selector in _MEMBERS or _is_operator(selector, meant, policy)):
        return True
    network = _network(meant)
    addresses = (host.addresses.tailnet, host.addresses.tailnet6)
    inside = (ipaddress.ip_address(one) in network for one in addresses if one and network)
    return selector == "*" or any(inside)


def _is_operator(selector: str, meant: object, policy: Policy) -> bool:
    """Whether it is an operator, or a group with one: the workstations may be theirs."""
    people = {selector, *_texts(meant)}
    return bool(people & set(policy.logins))
