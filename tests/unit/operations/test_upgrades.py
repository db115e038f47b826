"""What package managers say of newer packages, in their own formats."""

from __future__ import annotations

import pytest

from fleet.resources import Manager
from operations.upgrades import REBOOT, plan

APT = """NOTE: This is only a simulation!
Inst libc6 [2.36-9+deb12u9] (2.36-9+deb12u10 Debian:12.10/stable [amd64])
Inst linux-image-6.1.0-32-amd64 (6.1.129-1 Debian:12.10/stable [amd64])
Conf libc6 (2.36-9+deb12u10 Debian:12.10/stable [amd64])"""
PACMAN = ":: Synchronizing package databases...\nopenssl 3.3.1-1 -> 3.3.2-1\nlinux 6.9-1 -> 6.10-1"
PORT = "openssl3                       3.3.1_0 < 3.3.2_0\n"


@pytest.mark.parametrize(
    ("manager", "said", "told"),
    [
        (
            Manager.APT,
            APT,
            (
                "package libc6: 2.36-9+deb12u9 → 2.36-9+deb12u10",
                "package linux-image-6.1.0-32-amd64: 6.1.129-1",
            ),
        ),
        (
            Manager.PACMAN,
            PACMAN,
            ("package openssl: 3.3.1-1 → 3.3.2-1", "package linux: 6.9-1 → 6.10-1"),
        ),
        (Manager.PORT, PORT, ("package openssl3: 3.3.1_0 → 3.3.2_0",)),
    ],
)
def test_a_change_names_every_package(manager: Manager, said: str, told: tuple[str, ...]) -> None:
    change = plan(manager, said.splitlines())
    assert change
    assert (change.says, change.pending) == (told, ())
    assert "upgrade" in change.script or "-Syu" in change.script
    assert plan(manager, ["", "nonsense"]) is None


def test_a_reboot_is_pending_and_nobodys_to_make() -> None:
    change = plan(Manager.PACMAN, ["reboot the kernel 2 is installed, 1 runs"])
    assert change
    assert change.script == ""
    assert change.pending == (f"{REBOOT}the kernel 2 is installed, 1 runs",)
    assert plan(Manager.PACMAN, []) is None
