"""The fleet as the lab plays it: same hosts, the lab's addresses, user and keys.

This is the only seam between the lab and reality.
"""

from pathlib import Path

from fleet.model import Addresses, Fleet, Ssh
from lab.place import find_place
from lab.remote import USER
from lab.spec import lab_hosts


def overlay(fleet: Fleet, lab_name: str | None = None) -> tuple[Fleet, Path]:
    """Return the fleet with the lab's connection data, and its known_hosts file.

    The lab need not be up. Without a name it is $FLEET_LAB's, else the default one.
    """
    place = find_place(lab_name)
    hosts = []
    for host, spec in zip(fleet.hosts, lab_hosts(fleet), strict=True):
        addresses = Addresses(lan=place.lan(spec), tailnet=place.tailnet(spec))
        ssh = Ssh(user=USER, port=host.ssh.port, key=str(place.key))
        hosts.append(host.model_copy(update={"addresses": addresses, "ssh": ssh}))
    return fleet.model_copy(update={"hosts": tuple(hosts)}), place.known_hosts
