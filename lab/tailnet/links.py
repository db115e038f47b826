"""The kernel's part: addresses of the hosts' tailnet interfaces, the switch's packet filter."""

from __future__ import annotations

from collections.abc import Sequence

from lab.shell import run


def plug(namespace: str, interface: str, addresses: Sequence[str]) -> None:
    """Give a host's interface its addresses and set it up; without any, set it down."""
    lines = [f"addr flush dev {interface}"]
    if addresses:
        ipv4, ipv6 = addresses
        lines += [
            f"link set {interface} up",
            f"addr add {ipv4}/24 brd + dev {interface}",
            f"addr add {ipv6}/64 dev {interface} nodad",
        ]
    else:
        lines.append(f"link set {interface} down")
    # Of a host that is off there is nothing to change.
    run(["ip", "-n", namespace, "-force", "-batch", "-"], stdin="\n".join(lines), check=False)


def load_filter(switch: str, text: str) -> None:
    """Put a packet filter into force, all of it at once."""
    run(["nsenter", f"--net=/run/netns/{switch}", "nft", "-f", "-"], stdin=text)
