"""What package managers say of newer packages, in their own formats."""

from __future__ import annotations

import pytest

from fleet.resources import Manager
from operations.upgrades import REBOOT, Upgrade, plan, read

APT = """NOTE: This is only a simulation!
Inst libc6 [2.36-9+deb12u9] (2.36-9+deb12u10 Debian:12.10/stable [amd64])
Inst linux-image-6.1.0-32-amd64 (6.1.129-1 Debian:12.10/stable [amd64])
Conf libc6 (2.36-9+deb12u10 Debian:12.10/stable [amd64])"""
PACMAN = ":: Synchronizing package databases...\nopenssl 3.3.1-1 -> 3.3.2-1\nlinux 6.9-1 -> 6.10-1"
PORT = "openssl3                       3.3.1_0 < 3.3.2_0\n"


@pytest.mark.parametrize(
    ("manager", "said", "found"),
    [
        (
            Manager.APT,
            APT,
            (
                Upgrade("libc6", "2.36-9+deb12u9", "2.36-9+deb12u10"),
                Upgrade("linux-image-6.1.0-32-amd64", "", "6.1.129-1"),
            ),
        ),
        (
            Manager.PACMAN,
            PACMAN,
            (Upgrade("openssl", "3.3.1-1", "3.3.2-1"), Upgrade("linux", "6.9-1", "6.10-1")),
        ),
        (Manager.PORT, PORT, (Upgrade("openssl3", "3.3.1_0", "3.3.2_0"),)),
    ],
)
def test_each_managers_lines_are_read(
    manager: Manager, said: str, found: tuple[Upgrade, ...]
) -> None:
    assert read(manager, said.splitlines()) == found
    assert read(manager, ["", "nonsense", "@reboot"]) == ()


def test_a_change_names_every_package() -> None:
    change = plan(Manager.APT, APT.splitlines())
    assert change
    assert change.says == (
        "package libc6: 2.36-9+deb12u9 → 2.36-9+deb12u10",
        "package linux-image-6.1.0-32-amd64: 6.1.129-1",
    )
    assert "dist-upgrade" in change.script
    assert change.pending == ()


def test_a_reboot_is_pending_and_nobodys_to_make() -> None:
    change = plan(Manager.PACMAN, ["@reboot"])
    assert change
    assert (change.script, change.pending) == ("", (REBOOT,))
    assert plan(Manager.PACMAN, []) is None
