"""The host's own firewall: who may come through which door, as fleet/doors.py says.

It closes our ports to everybody else, on every interface, and knows nothing of other ports or other
people's rules. What listens on them runs only while it stands (Service.behind_wall).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploys import agentapi
from deploys.icecream import compile_user
from deploys.keys import orchestrator_account
from fleet.daemons import WALL, daemon
from fleet.doors import Door, Who, doors
from fleet.lock import TAILNET_IPV6
from fleet.resources import (
    File,
    Guard,
    Manager,
    Package,
    Resources,
    RunningService,
    Service,
    User,
)
from fleet.view import HostView
from fleet.words import TAILNET_IPV4

SPEAKS = (
    "the page takes the agent here for the person whose device this is in the tailnet, and so may "
    "that agent give others work; `agent: {enabled: false}` at the host ends it"
)
ANCHOR = "com.apple/agentfleet"  # Apple's own main rules evaluate every anchor below com.apple
WATCH_S = 10  # between two looks of the watcher: rules that vanish are back within that time
_FAMILIES = {True: ("inet", "inet6"), False: ("ip", "ip6")}  # pf's words, and nft's


@dataclass(frozen=True)
class Rule:
    """A door and the addresses of one IP version that it is open to, in the firewall's words."""

    door: Door
    family: str
    sources: str


def resources(view: HostView) -> Resources:
    """Everything `firewall` wants on this host."""
    mac = view.host.is_mac
    rules = _rules_file(view)
    script = _script(view, rules.path)
    launcher = (view.script("behind-wall", "firewall/behind-wall.sh.j2"),) if mac else ()
    definition, running = daemon(view, _watcher(view, script.path))
    told = RunningService.notified(running.name, (rules.path,), f"{script.path} load")
    return Resources(
        packages=(Package("nftables", {Manager.BREW: None, Manager.PORT: None}),),
        users=_users(view),
        guard=_guard(view, rules, script, definition[0]),
        files=(rules, script, *launcher, *definition),
        services=(running, told),
        remarks=(SPEAKS,) if mac and _speaks_for_a_person(view) else (),
    )


def _speaks_for_a_person(view: HostView) -> bool:
    """Whether an agent runs on a machine that is somebody's own in the tailnet: without a tag."""
    return view.host.is_agent and not view.settings.tailnet_tag


def _users(view: HostView) -> tuple[User, ...]:
    """The accounts that the rules name: they have to exist before."""
    if view.host.is_mac:
        return ()
    talks = (orchestrator_account(view),) if _is_orchestrator(view) else ()
    speaks = (agentapi.account(view),) if _speaks_for_a_person(view) else ()
    return (compile_user(view), *talks, *speaks)


def _is_orchestrator(view: HostView) -> bool:
    return view.host == view.fleet.orchestrator


def _rules_file(view: HostView) -> File:
    host, mac = view.host, view.host.is_mac
    behind = doors(view.fleet, host)
    fleet = _fleet_addresses(view)
    trusted = ("root", view.settings.orchestrator_user, host.ssh.user)
    values = {
        "address": host.addresses.tailnet,
        "wall": f"{view.settings.libexec_dir}/wall",
        "fleet_addresses": tuple(fleet.items()),
        "open": [door for door in behind if door.who is Who.ANYWHERE],
        "guarded": [door.port for door in behind if door.who is not Who.ANYWHERE],
        "rules": tuple(_rules(view, behind)),
        "private": [door.port for door in behind if door.private],
        "muted": (view.settings.agent_user,) if _speaks_for_a_person(view) else (),
        "trusted": tuple(dict.fromkeys(trusted)) if _is_orchestrator(view) else (),
    }
    name = "wall.pf" if mac else "wall.nft"
    check = f"pfctl -a {ANCHOR} -n -f {{path}} 2>/dev/null" if mac else "nft -c -f {path}"
    return view.file(
        f"{view.settings.config_dir}/{name}", f"firewall/{name}.j2", check=check, values=values
    )


def _fleet_addresses(view: HostView) -> dict[int, tuple[str, ...]]:
    """IP version → the tailnet addresses of all hosts that are known."""
    places = [host.addresses for host in view.fleet.hosts]
    return {
        4: tuple(place.tailnet for place in places if place.tailnet),
        6: tuple(place.tailnet6 for place in places if place.tailnet6),
    }


def _rules(view: HostView, behind: tuple[Door, ...]) -> Iterator[Rule]:
    """One for each door and IP version that anybody may come by."""
    for door in behind:
        for version, family in zip((4, 6), _FAMILIES[view.host.is_mac], strict=True):
            if sources := _sources(view, door.who, version):
                yield Rule(door, family, sources)


def _sources(view: HostView, who: Who, version: int) -> str:
    mac = view.host.is_mac
    match who:
        case Who.TAILNET:
            return str(TAILNET_IPV4 if version == 4 else TAILNET_IPV6)
        case Who.ORCHESTRATOR:
            place = view.fleet.orchestrator.addresses
            return (place.tailnet if version == 4 else place.tailnet6) or ""
        case Who.FLEET if _fleet_addresses(view)[version]:
            return "<fleet>" if mac else f"@fleet{version}"
        case _:
            return ""


def _script(view: HostView, rules_file: str) -> File:
    values = {"rules_file": rules_file, "watch_s": WATCH_S, "anchor": ANCHOR}
    return view.file(
        f"{view.settings.libexec_dir}/wall",
        "firewall/wall.sh.j2",
        mode="0755",
        check="sh -n {path}",
        values=values,
    )


def _watcher(view: HostView, script: str) -> Service:
    return Service(
        name=WALL,
        description="firewall in front of the fleet's services",
        command=(script, "watch"),
        prepare=() if view.host.is_mac else (script, "load"),
        early=True,
        restart_delay_s=1,
        inputs=(script,),
        exceptions={
            "CapabilityBoundingSet": ("CAP_NET_ADMIN", "loads the rules"),
            "ReadWritePaths": ("-/run/agentfleet", "notes what it loaded"),
        },
    )


def _guard(view: HostView, rules: File, script: File, definition: File) -> Guard:
    """The old wall comes back; where there was none, there is none again."""
    if view.host.is_mac:
        gone = f"pfctl -a {ANCHOR} -F rules 2>/dev/null"
    else:
        unit = definition.path.rpartition("/")[2]
        gone = f"systemctl stop {unit}; nft delete table inet agentfleet; systemctl daemon-reload"
    revert = f"if [ -f {rules.path} ]; then sh {script.path} load; else {gone}; fi"
    told = f"{view.settings.state_dir}/notified/{WALL}.stamp"  # which rules were loaded
    return Guard(paths=(rules.path, script.path, definition.path, told), revert=revert)
