"""The kinds of host there are: roles, systems, and which of them go together."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """What a host is for; each role is a pyinfra group of the same name."""

    ORCHESTRATOR = "orchestrator"
    HEADLESS_MAC = "headless-mac"
    WORKSTATION_MAC = "workstation-mac"
    PI = "pi"
    WINDOWS_WSL = "windows-wsl"


class Os(StrEnum):
    """The system that the host's SSH server runs on; inside WSL that is the distribution."""

    ARCH = "arch"
    MACOS = "macos"
    DEBIAN = "debian"
    RASPIOS = "raspios"
    UBUNTU = "ubuntu"


class Arch(StrEnum):
    """The machine, in the spelling of `uname -m` on Linux."""

    X86_64 = "x86_64"
    AARCH64 = "aarch64"


class Power(StrEnum):
    """Whether a host that does not answer is a fault (always-on) or a state (the others)."""

    ALWAYS_ON = "always-on"
    SLEEPS = "sleeps"
    ROAMS = "roams"


class Sudo(StrEnum):
    """What an agent may do as root, where fleet.yaml lists no commands."""

    FULL = "full"
    NONE = "none"


MAC_ROLES = frozenset({Role.HEADLESS_MAC, Role.WORKSTATION_MAC})
AGENT_ROLES = frozenset({Role.ORCHESTRATOR, Role.HEADLESS_MAC, Role.PI})

ROLE_OS: Mapping[Role, tuple[Os, ...]] = {
    Role.ORCHESTRATOR: (Os.ARCH, Os.DEBIAN, Os.UBUNTU),
    Role.HEADLESS_MAC: (Os.MACOS,),
    Role.WORKSTATION_MAC: (Os.MACOS,),
    Role.PI: (Os.RASPIOS, Os.DEBIAN, Os.UBUNTU),
    Role.WINDOWS_WSL: (Os.DEBIAN, Os.UBUNTU),
}
ROLE_ARCH: Mapping[Role, tuple[Arch, ...]] = {
    Role.ORCHESTRATOR: (Arch.X86_64, Arch.AARCH64),
    Role.HEADLESS_MAC: (Arch.X86_64,),  # Intel Macs: no pinned download is for Apple silicon
    Role.WORKSTATION_MAC: (Arch.X86_64,),
    Role.PI: (Arch.AARCH64,),  # the compile environments are 64-bit
    Role.WINDOWS_WSL: (Arch.X86_64, Arch.AARCH64),
}
OS_ARCH: Mapping[Os, tuple[Arch, ...]] = {
    Os.ARCH: (Arch.X86_64,),  # Arch Linux ARM is another distribution
    Os.MACOS: (Arch.X86_64,),
    Os.DEBIAN: (Arch.X86_64, Arch.AARCH64),
    Os.RASPIOS: (Arch.AARCH64,),
    Os.UBUNTU: (Arch.X86_64, Arch.AARCH64),
}

# Other words for the same thing, for "did you mean".
SYNONYMS: Mapping[str, str] = {
    "amd64": Arch.X86_64,
    "x64": Arch.X86_64,
    "x86-64": Arch.X86_64,
    "intel": Arch.X86_64,
    "arm64": Arch.AARCH64,
    "armv8": Arch.AARCH64,
    "darwin": Os.MACOS,
    "osx": Os.MACOS,
    "mac": Os.MACOS,
    "archlinux": Os.ARCH,
    "raspbian": Os.RASPIOS,
    "raspberry-pi": Role.PI,
    "rpi": Role.PI,
    "windows": Role.WINDOWS_WSL,
    "wsl": Role.WINDOWS_WSL,
    "always_on": Power.ALWAYS_ON,
}


def broad_groups(role: Role) -> tuple[str, ...]:
    """Return the groups beside its own that every host of the role is in, the broadest first."""
    system = "macos" if role in MAC_ROLES else "linux"
    return (system, *(["agents"] if role in AGENT_ROLES else []), "workers")


# pyinfra makes a group of each of these; `inventory` is one because of the inventory file's name.
GROUP_NAMES = frozenset(
    {*Role, "linux", "macos", "agents", "workers", "all", "inventory"},
)
