"""The fleet as the lab plays it: same hosts, the lab's addresses, user and keys.

This is the only seam between the lab and reality.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from fleet.lock import ArtifactsLock, read_fleet_lock
from fleet.model import Addresses, Fleet, Operator, Ssh
from lab.pins import artifacts
from lab.place import Place, find_place, settled
from lab.remote import USER, public_key
from lab.spec import lab_hosts
from lab.tailnet.nodes import LOGIN

NOBODY = Operator(name="lab", login=LOGIN, ssh_keys=("",))  # where the fleet names none
PAYING = ("anthropic_api_key", "claude_subscription_token")  # never a real one in a lab, but for
OWN_SECRETS = "FLEET_LAB_OWN_SECRETS"  # environment: those of the fleet file, which a test states


@dataclass(frozen=True)
class Overlay:
    """What the lab puts in the place of the real fleet's."""

    fleet: Fleet
    known_hosts: Path
    fleet_lock: Path  # with the addresses that hosts got in the lab's tailnet
    artifacts: ArtifactsLock


def overlay(fleet: Fleet, lab_name: str | None = None) -> Overlay:
    """Return the fleet with the lab's connection data, and the files and pins that go with it.

    The lab need not be up. Without a name it is $FLEET_LAB's, else the default one.
    """
    place = find_place(lab_name)
    learned = read_fleet_lock(place.fleet_lock)
    hosts = []
    for host, spec in zip(fleet.hosts, settled(place, lab_hosts(fleet)), strict=True):
        ipv4, ipv6 = learned.tailnet_ipv4(host.name), learned.tailnet_ipv6(host.name)
        addresses = Addresses(
            lan=place.lan(spec),
            tailnet=ipv4,
            tailnet6=ipv6,
            tailnet_name=learned.tailnet_name(host.name),
        )
        ssh = Ssh(user=USER, port=host.ssh.port, key=str(place.key))
        told = {
            "host_keys": learned.host_keys(host.name),
            "dispatch_key": learned.dispatch_key(host.name),
            "health_key": learned.health_key(host.name),
            "compiler": learned.compiler(host.name),
            "environments": learned.environments(host.name),
            "mac_address": learned.mac_address(host.name),
            "networking": learned.networking(host.name),
        }
        hosts.append(host.model_copy(update={"addresses": addresses, "ssh": ssh, **told}))
    operators = tuple(_operators(fleet, place))
    secrets = {**fleet.secrets, "tailscale_auth_key": f"file:{place.auth_key}"}
    if not os.environ.get(OWN_SECRETS):
        others = {name: where for name, where in secrets.items() if name not in PAYING}
        secrets = {**others, "anthropic_api_key": f"file:{place.anthropic_key}"}
    more = {
        "hosts": tuple(hosts),
        "operators": operators,
        "secrets": secrets,
        "anthropic_url": place.anthropic_url,
    }
    played = fleet.model_copy(update=more)
    return Overlay(played, place.known_hosts, place.fleet_lock, artifacts())


def _operators(fleet: Fleet, place: Place) -> list[Operator]:
    """The operators, with keys of the lab: the first one's is the key that opens every host.

    The first is also who owns the lab's devices in its tailnet, whatever his login is outside.
    """
    if not place.key.exists():
        return []
    people = fleet.operators or (NOBODY,)
    keys = [place.key, *(place.operator_key(one.name) for one in people[1:])]
    played = [
        one.model_copy(update={"ssh_keys": (public_key(key, one.name),)})
        for one, key in zip(people, keys, strict=True)
    ]
    return [played[0].model_copy(update={"login": LOGIN}), *played[1:]]
