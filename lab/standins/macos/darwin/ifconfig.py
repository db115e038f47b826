"""ifconfig in BSD's layout, from the kernel's own answer; it shows and changes nothing."""

import ipaddress
import json
from pathlib import Path
from typing import Any, Final

from .common import EX_USAGE, ToolError, hidden, out

Link = dict[str, Any]
FLAGS: Final = {  # kernel flag -> BSD's name and bit
    "UP": ("UP", 0x1),
    "BROADCAST": ("BROADCAST", 0x2),
    "LOOPBACK": ("LOOPBACK", 0x8),
    "POINTOPOINT": ("POINTOPOINT", 0x10),
    "LOWER_UP": ("RUNNING", 0x40),
    "MULTICAST": ("MULTICAST", 0x8000),
}
TUNNEL: Final = 0x8051  # UP,POINTOPOINT,RUNNING,MULTICAST: what a utun has on a Mac


def main(argv: list[str], _root: Path) -> int:
    """`ifconfig [-a|-l] [NAME]`."""
    links: list[Link] = json.loads(hidden("ip", "-j", "address", "show").stdout)
    names = [arg for arg in argv if not arg.startswith("-")]
    if len(names) > 1:
        raise ToolError("ifconfig (stand-in): changing an interface is not covered", EX_USAGE)
    if "-l" in argv:
        out(" ".join(bsd_name(link["ifname"]) for link in links))
        return 0
    chosen = [link for link in links if not names or bsd_name(link["ifname"]) == names[0]]
    if not chosen:
        raise ToolError(f"ifconfig: interface {names[0]} does not exist")
    for link in chosen:
        out(*describe(link))
    return 0


def bsd_name(name: str) -> str:
    """The loopback is lo0 on a Mac; other names are the lab's."""
    return "lo0" if name == "lo" else name


def describe(link: Link) -> list[str]:
    """The lines of one interface."""
    name, tunnel = bsd_name(link["ifname"]), link["ifname"].startswith("utun")
    words, bits = flags(link["flags"])
    if tunnel:
        words, bits = ["UP", "POINTOPOINT", "RUNNING", "MULTICAST"], TUNNEL
    lines = [f"{name}: flags={bits:x}<{','.join(words)}> mtu {link['mtu']}"]
    if link.get("link_type") == "ether" and not tunnel:
        lines.append(f"\tether {link['address']}")
    for address in link.get("addr_info", []):
        lines.append(inet6(address) if address["family"] == "inet6" else inet(address, tunnel))
    if not tunnel and name != "lo0":
        lines.append(f"\tstatus: {'active' if 'LOWER_UP' in link['flags'] else 'inactive'}")
    return lines


def flags(kernel: list[str]) -> tuple[list[str], int]:
    """BSD's names and bits of the kernel's flags."""
    known = [FLAGS[flag] for flag in FLAGS if flag in kernel]
    return [name for name, _ in known], sum(bit for _, bit in known)


def inet(address: dict[str, Any], tunnel: bool) -> str:
    """An IPv4 line; a tunnel's far end is its own address, as tailscaled sets it."""
    local = address["local"]
    network = ipaddress.ip_network(f"{local}/{address['prefixlen']}", strict=False)
    if tunnel:
        return f"\tinet {local} --> {address.get('address', local)} netmask 0xffffffff"
    line = f"\tinet {local} netmask 0x{int(network.netmask):08x}"
    return line + (f" broadcast {address['broadcast']}" if "broadcast" in address else "")


def inet6(address: dict[str, Any]) -> str:
    """An IPv6 line."""
    return f"\tinet6 {address['local']} prefixlen {address['prefixlen']}"
