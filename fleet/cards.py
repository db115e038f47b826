"""Which network card a host has on its LAN: what a packet has to name that shall wake it."""

from __future__ import annotations

import ipaddress

from fleet.model import Host
from fleet.resources import Reading

MAC_ADDRESS = "mac address"  # name of the reading


def network_card(host: Host) -> Reading:
    """The reading of the card that has the host's LAN address; empty when none has it now.

    Where fleet.yaml states no IP address, of the card that the host goes out by.
    """
    lan = _ip(host.addresses.lan)
    if host.is_mac:
        return Reading(MAC_ADDRESS, _mac_card(lan) if lan else _MAC_GATEWAY)
    device = _linux_device(lan) if lan else _LINUX_GATEWAY
    return Reading(MAC_ADDRESS, f"device=$({device})\n{_LINUX_CARD}")


def _ip(lan: str | None) -> str:
    """The address as programs print it; empty for a name or none."""
    try:
        return str(ipaddress.ip_address(lan or ""))
    except ValueError:
        return ""


def _linux_device(lan: str) -> str:
    held = '{ split($4, at, "/"); if (at[1] == lan) { print $2; exit } }'
    return f"ip -o addr show | awk -v lan={lan} '{held}'"


_LINUX_GATEWAY = r"ip -o route show default | sed -n '1s/.* dev \([^ ]*\).*/\1/p'"
# Not from /sys: in a container that may show another one's devices.
_LINUX_CARD = r"""[ -z "$device" ] ||
ip -o link show dev "$device" | sed -n 's,.*link/ether \([0-9a-f:]*\).*,\1,p'"""


def _mac_card(lan: str) -> str:
    held = (
        r'/^[^ \t]/ { card = "" } $1 == "ether" { card = $2 } '
        r'$1 ~ /^inet6?$/ { sub(/%.*/, "", $2); if ($2 == lan) { print card; exit } }'
    )
    return f"/sbin/ifconfig | awk -v lan={lan} '{held}'"


_MAC_GATEWAY = """device=$(/sbin/route -n get default | awk '$1 == "interface:" { print $2 }')
[ -z "$device" ] || /sbin/ifconfig "$device" | awk '$1 == "ether" { print $2; exit }'"""
