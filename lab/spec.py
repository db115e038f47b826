"""What the lab needs to know of a host: which image stands for it, its place, its SSH port."""

from collections.abc import Iterable
from dataclasses import dataclass

from fleet.model import Arch, Fleet, Host, Os, Role
from lab.errors import LabError

# A lab of more would not fit the addresses .11 to .70 that the files of the fleet may expect.
MAX_HOSTS = 60
# A Mac's package manager, by its position among the Macs: both ways are always tried.
MAC_VARIANTS = ("brew", "port")


@dataclass(frozen=True)
class LabHost:
    """One host of the lab."""

    name: str
    kind: str  # which image: arch, debian, raspios, macos, wsl
    index: int  # its place in the lab, from 1, at first that in the file: addresses follow from it
    port: int
    os: str
    variant: str = ""  # of the stand-in, where it has several

    @property
    def emulated(self) -> bool:
        """Whether its programs run under qemu-user."""
        return self.kind == "raspios"

    @property
    def tailnet_interface(self) -> str:
        """Return the name of its second network: the systems differ in it."""
        return {"macos": "utun4", "wsl": "eth1"}.get(self.kind, "tailscale0")


def lab_hosts(fleet: Fleet) -> tuple[LabHost, ...]:
    """Return the lab's hosts, in the order of the fleet file."""
    if not 1 <= len(fleet.hosts) <= MAX_HOSTS:
        raise LabError(f"the lab carries 1 to {MAX_HOSTS} hosts; this fleet has {len(fleet.hosts)}")
    hosts = []
    macs = 0
    for index, host in enumerate(fleet.hosts, start=1):
        kind = kind_of(host)
        variant = ""
        if kind == "macos":
            variant = MAC_VARIANTS[macs % len(MAC_VARIANTS)]
            macs += 1
        hosts.append(LabHost(host.name, kind, index, host.ssh.port, host.os.value, variant))
    return tuple(hosts)


def kind_of(host: Host) -> str:
    """Return the image that stands for a host; refuse what no image stands for."""
    if host.arch is Arch.AARCH64:
        if host.os in (Os.RASPIOS, Os.DEBIAN, Os.UBUNTU) and host.role is not Role.WINDOWS_WSL:
            return "raspios"
        raise LabError(f"{host.name}: the lab has no {host.os.value} image for {host.arch.value}")
    if host.role is Role.WINDOWS_WSL:
        return "wsl"
    return {Os.ARCH: "arch", Os.MACOS: "macos"}.get(host.os, "debian")


def chosen(hosts: Iterable[LabHost], names: Iterable[str] | None) -> tuple[LabHost, ...]:
    """Return the named hosts, or all of them without names; refuse unknown ones."""
    known = {host.name: host for host in hosts}
    wanted = list(names or ())
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise LabError(f"the fleet has no host {', '.join(unknown)}; it has {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(wanted)) if wanted else tuple(known.values())
