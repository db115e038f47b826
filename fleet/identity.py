"""Whether the machine that answers is the one fleet.yaml describes."""

from __future__ import annotations

from facts.system import System
from fleet.model import Arch, Host, Os

# How each system calls itself in /etc/os-release, and dpkg its architecture.
DISTRIBUTIONS = {
    Os.ARCH: ("arch",),
    Os.DEBIAN: ("debian",),
    Os.RASPIOS: ("raspbian", "debian"),  # 64-bit Raspberry Pi OS calls itself Debian
    Os.UBUNTU: ("ubuntu",),
}
USERLANDS = {Arch.X86_64: "amd64", Arch.AARCH64: "arm64"}


def mismatch(host: Host, system: System) -> str:
    """What differs between the host and its entry in fleet.yaml, with what to do; empty if nothing.

    A 32-bit userland on a 64-bit kernel is caught here: `uname -m` says aarch64 all the same.
    """
    kernel = "Darwin" if host.is_mac else "Linux"
    if system.kernel != kernel:
        return f"fleet.yaml says os: {host.os}, but the kernel is {system.kernel or 'unknown'}"
    if host.is_linux and system.distribution not in DISTRIBUTIONS[host.os]:
        return f"fleet.yaml says os: {host.os}, the host says {system.distribution or 'nothing'}"
    if system.machine != host.arch.value:
        return f"fleet.yaml says arch: {host.arch}, the host says {system.machine}"
    if host.is_linux and system.userland and system.userland != USERLANDS[host.arch]:
        return (
            f"the userland is {system.userland}, the kernel {system.machine}: "
            f"install the 64-bit image ({USERLANDS[host.arch]}) of its system"
        )
    return ""
