"""What kind of machine this is: kernel, distribution, architecture, package manager."""

from __future__ import annotations

from dataclasses import dataclass

from facts.probe import Lines
from fleet.resources import Manager

# Full paths, since SSH sessions on a Mac lack both prefixes.
_SCRIPT = """
echo "kernel=$(uname -s)"
echo "machine=$(uname -m)"
if [ -r /etc/os-release ]; then ( . /etc/os-release; echo "distribution=$ID" ); fi
if [ -x /usr/local/bin/brew ]; then manager=brew
elif [ -x /opt/local/bin/port ]; then manager=port
elif command -v pacman >/dev/null; then manager=pacman
elif command -v apt-get >/dev/null; then manager=apt
else manager=; fi
echo "manager=$manager"
if command -v dpkg >/dev/null; then echo "userland=$(dpkg --print-architecture)"; fi
if command -v ip >/dev/null; then
    ip -o addr show | awk '{ split($4, at, "/"); print "address " at[1] }'
elif [ -x /sbin/ifconfig ]; then
    /sbin/ifconfig | awk '$1 ~ /^inet6?$/ { sub(/%.*/, "", $2); print "address " $2 }'
fi
if command -v systemd-detect-virt >/dev/null; then echo "container=$(systemd-detect-virt -c)"; fi
"""


@dataclass(frozen=True)
class System:
    """The machine as it describes itself; absent values are empty.

    `userland` is dpkg's architecture: a 32-bit Raspberry Pi OS on a 64-bit kernel says `armhf`.
    `container` is systemd's word (`wsl`, `systemd-nspawn`, …), empty on a machine of its own.
    `addresses` are the IPv4 and IPv6 addresses of its interfaces.
    """

    kernel: str = ""
    machine: str = ""
    distribution: str = ""
    manager: Manager | None = None
    userland: str = ""
    container: str = ""
    addresses: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SystemProbe:
    """Looks at the machine itself. Leaves the shell variable `manager` to the probes after it."""

    name: str = "system"

    def script(self) -> str:
        """Print `key=value` lines, and `address` lines."""
        return _SCRIPT

    def parse(self, lines: Lines) -> System:
        """Build the System from the lines."""
        said = dict(line.split("=", 1) for line in lines if "=" in line)
        manager = said.get("manager")
        container = said.get("container", "")
        return System(
            kernel=said.get("kernel", ""),
            machine=said.get("machine", ""),
            distribution=said.get("distribution", ""),
            manager=Manager(manager) if manager else None,
            userland=said.get("userland", ""),
            container="" if container == "none" else container,
            addresses=frozenset(
                line.removeprefix("address ") for line in lines if line.startswith("address ")
            ),
        )
