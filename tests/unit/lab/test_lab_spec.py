"""Which image stands for which host, and where it gets its place from."""

import pytest

from fleet.model import Addresses, Arch, Fleet, Host, Os, Power, Role, Ssh
from lab.errors import LabError
from lab.spec import MAX_HOSTS, chosen, kind_of, lab_hosts


def host(name: str, role: Role, os: Os, arch: Arch = Arch.X86_64, port: int = 22) -> Host:
    return Host(
        name=name, role=role, os=os, arch=arch, power=Power.ALWAYS_ON, cores=4, max_jobs=4,
        addresses=Addresses(lan="192.0.2.1"), ssh=Ssh(user="x", port=port), budget=5,
    )  # fmt: skip


def fleet(*hosts: Host) -> Fleet:
    return Fleet(name="f", hosts=hosts, scheduler=hosts[0].name, budgets={})


@pytest.mark.parametrize(
    ("role", "os", "arch", "kind"),
    [
        (Role.ORCHESTRATOR, Os.ARCH, Arch.X86_64, "arch"),
        (Role.ORCHESTRATOR, Os.DEBIAN, Arch.X86_64, "debian"),
        (Role.ORCHESTRATOR, Os.UBUNTU, Arch.X86_64, "debian"),
        (Role.HEADLESS_MAC, Os.MACOS, Arch.X86_64, "macos"),
        (Role.WORKSTATION_MAC, Os.MACOS, Arch.X86_64, "macos"),
        (Role.PI, Os.RASPIOS, Arch.AARCH64, "raspios"),
        (Role.PI, Os.DEBIAN, Arch.AARCH64, "raspios"),
        (Role.WINDOWS_WSL, Os.UBUNTU, Arch.X86_64, "wsl"),
    ],
)
def test_the_image_follows_from_what_the_host_is(role: Role, os: Os, arch: Arch, kind: str) -> None:
    assert kind_of(host("any", role, os, arch)) == kind


def test_an_image_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(LabError, match="boss: the lab has no arch image for aarch64"):
        kind_of(host("boss", Role.ORCHESTRATOR, Os.ARCH, Arch.AARCH64))


def test_macs_have_brew_and_port_in_turn() -> None:
    macs = [host(f"mac{i}", Role.HEADLESS_MAC, Os.MACOS) for i in range(3)]
    boss = host("boss", Role.ORCHESTRATOR, Os.ARCH)
    variants = [one.variant for one in lab_hosts(fleet(macs[0], boss, *macs[1:]))]
    assert variants == ["brew", "", "port", "brew"]


def test_position_and_port_come_from_the_file() -> None:
    hosts = lab_hosts(
        fleet(
            host("boss", Role.ORCHESTRATOR, Os.ARCH),
            host("window", Role.WINDOWS_WSL, Os.DEBIAN, port=2222),
        )
    )
    assert [(one.index, one.port) for one in hosts] == [(1, 22), (2, 2222)]
    assert [one.tailnet_interface for one in hosts] == ["tailscale0", "eth1"]


def test_a_fleet_too_large_for_the_lab_is_refused() -> None:
    many = [host(f"pi{i}", Role.PI, Os.RASPIOS, Arch.AARCH64) for i in range(MAX_HOSTS + 1)]
    with pytest.raises(LabError, match="this fleet has 61"):
        lab_hosts(fleet(*many))


def test_unknown_hosts_are_named() -> None:
    hosts = lab_hosts(fleet(host("boss", Role.ORCHESTRATOR, Os.ARCH)))
    assert chosen(hosts, ["boss", "boss"]) == hosts
    assert chosen(hosts, []) == hosts
    with pytest.raises(LabError, match="no host bos; it has boss"):
        chosen(hosts, ["bos"])
