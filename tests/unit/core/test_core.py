"""Who the host is, where artifacts lie and come from, what roles mean, who is in which group."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from facts.look import Look
from facts.system import System
from fleet import settings
from fleet.identity import mismatch
from fleet.inventory import groups
from fleet.kinds import GROUP_NAMES, Role
from fleet.lock import FleetLock, LockedHost
from fleet.model import Addresses, Arch, Os
from fleet.pins import artifact, mirrors
from fleet.plan import capability, capability_name, context_of, unavailable, view_of, wanted
from fleet.problems import FleetError
from fleet.roles import role_data
from fleet.settings import settings_for
from fleet.target import Target
from fleet.view import HostView
from operations.manifest import names
from tests.golden import target, views

# identity


def system(**more: str) -> System:
    said = {"kernel": "Linux", "machine": "aarch64", "distribution": "debian", "userland": "arm64"}
    return System(**said | more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "seen", "reason"),
    [
        ("rpi1", system(), ""),
        ("rpi1", system(distribution="raspbian"), ""),
        ("rpi1", system(userland="armhf"), "install the 64-bit image (arm64)"),
        ("rpi1", system(machine="armv7l"), "fleet.yaml says arch: aarch64, the host says armv7l"),
        ("rpi1", system(distribution="arch"), "fleet.yaml says os: raspios, the host says arch"),
        ("rpi1", system(kernel="Darwin"), "but the kernel is Darwin"),
        ("rpi1", System(), "but the kernel is unknown"),
        ("imac", System("Darwin", "x86_64"), ""),
        ("imac", System("Darwin", "x86_64", userland="darwin-amd64"), ""),
        ("imac", System("Darwin", "arm64"), "fleet.yaml says arch: x86_64, the host says arm64"),
        ("imac", System("Linux", "x86_64"), "fleet.yaml says os: macos, but the kernel is Linux"),
        ("arch-orchestrator", System("Linux", "x86_64", "arch"), ""),
    ],
)
def test_whether_it_is_the_machine_of_the_file(name: str, seen: System, reason: str) -> None:
    found = mismatch(views()[name].host, seen)
    assert reason in found
    assert bool(found) is bool(reason)


@pytest.mark.parametrize("os", [os for os in Os if os is not Os.MACOS])
@pytest.mark.parametrize("arch", Arch)
def test_every_kind_of_host_is_known(os: Os, arch: Arch) -> None:
    host = views()["rpi1"].host.model_copy(update={"os": os, "arch": arch})
    assert f"says os: {os}, the host says gentoo" in mismatch(host, system(distribution="gentoo"))
    said = "ubuntu" if os is Os.UBUNTU else "arch" if os is Os.ARCH else "debian"
    right = {Arch.X86_64: "amd64", Arch.AARCH64: "arm64"}[arch]
    seen = system(distribution=said, machine=arch.value, userland=right)
    assert mismatch(host, seen) == ""


# artifacts on a host


def test_on_a_host_the_path_names_the_digest() -> None:
    found = artifact(views()["rpi1"], "icecream-source")
    assert found.path.split("/")[-2] == found.sha256
    with pytest.raises(FleetError, match="is not pinned"):
        artifact(views()["rpi1"], "nothing")


# where downloads come from; in the golden fleet rpi3 is the relay of the cabin


ORCHESTRATORS, RELAYS = "http://100.101.0.1:8081", "http://100.101.0.7:8081"


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("arch-orchestrator", ()),
        ("rpi1", (ORCHESTRATORS,)),
        ("rpi3", (ORCHESTRATORS,)),
        ("imac", (RELAYS, ORCHESTRATORS)),
        ("windows-desktop", (RELAYS, ORCHESTRATORS)),
    ],
)
def test_a_neighbour_is_asked_before_the_orchestrator(name: str, asked: tuple[str, ...]) -> None:
    assert mirrors(views()[name]) == asked


@pytest.mark.parametrize(
    ("outside", "asked"),
    [("rpi3", (ORCHESTRATORS,)), ("arch-orchestrator", (RELAYS,))],
)
def test_who_is_not_known_in_the_tailnet_is_not_asked(outside: str, asked: tuple[str, ...]) -> None:
    found = views()["imac"]
    hosts = tuple(
        host.model_copy(update={"addresses": Addresses()}) if host.name == outside else host
        for host in found.fleet.hosts
    )
    fleet = found.fleet.model_copy(update={"hosts": hosts})
    assert mirrors(HostView(fleet, found.host, found.artifacts)) == asked


# roles


def test_every_role_has_its_settings() -> None:
    for role in Role:
        assert settings_for(role.value).capabilities


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"journal_max": None}, "journal_max"),
        ({"surprise": 1}, "surprise"),
        ({"gateway_warn_percent": 100}, "gateway_warn_percent"),
    ],
)
def test_wrong_group_data_names_the_value(
    change: dict[str, object], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = role_data("pi") | change
    monkeypatch.setattr(settings, "role_data", lambda role: data)
    with pytest.raises(FleetError, match=f"group_data/pi.py: {key}: .*\n.*fleet/settings.py"):
        settings_for.__wrapped__("pi")


# capabilities


def test_an_unknown_capability_says_where_to_write_it() -> None:
    with pytest.raises(FleetError, match=r"write deploys/nonsense\.py"):
        capability("nonsense")
    assert capability_name(capability("base")) == "base"


def test_a_capability_may_say_that_it_cannot_be() -> None:
    class Picky:
        __name__ = "deploys.picky"

        def resources(self, view: object) -> None: ...

        def unavailable(self, view: object, look: Look) -> str:
            return "no such hardware"

    view = views()["rpi1"]
    assert unavailable(Picky(), view, Look()) == "no such hardware"  # type: ignore[arg-type]
    assert unavailable(capability("base"), view, Look()) == ""


def test_no_two_capabilities_want_the_same_thing() -> None:
    for view in views().values():
        everything = [name for want in wanted(view).values() for name in names(want)]
        assert len(everything) == len(set(everything))
        assert context_of("base", view).wanted >= set(everything)


def test_an_unknown_host() -> None:
    with pytest.raises(FleetError, match='no host is called "rpi9"'):
        view_of(target(), "rpi9")


# inventory


def test_roles_come_after_what_is_broader() -> None:
    """pyinfra lets the last group win."""
    found = groups(target())
    order = list(found)
    roles = [role.value for role in Role if role.value in found]
    assert order[-len(roles) :] == sorted(roles, key=order.index)
    assert set(order) <= GROUP_NAMES
    everyone = [name for name, _ in found["workers"]]
    assert everyone == [host.name for host in target().fleet.hosts]
    assert sorted(n for role in roles for n, _ in found[role]) == sorted(everyone)


def test_how_a_host_is_reached() -> None:
    unknown = replace(target(), lock=FleetLock())
    ((_, data),) = [entry for entry in groups(unknown)["pi"] if entry[0] == "rpi1"]
    assert data["ssh_user"] == "admin"
    assert data["ssh_port"] == 22
    assert data["ssh_strict_host_key_checking"] == "yes", "a new key is never trusted by itself"
    assert "ssh_known_hosts_file" not in data, "the user's own counts"
    ((_, data),) = [e for e in groups(target())["windows-wsl"] if e[0] == "windows-desktop"]
    assert data["ssh_port"] == 2222


def test_a_learned_key_must_be_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFLEET_CACHE", str(tmp_path))
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEYo0jyZxoeTBGlJGcOIMa1Ff6oH7PmZBmCSoGOGZPbF"
    lock = FleetLock(hosts={"windows-desktop": LockedHost(host_keys=(key,))})
    found = target()
    learned = Target("real", found.fleet, None, found.artifacts, found.root, lock)
    ((_, data),) = [e for e in groups(learned)["windows-wsl"] if e[0] == "windows-desktop"]
    assert data["ssh_strict_host_key_checking"] == "yes"
    known = Path(str(data["ssh_known_hosts_file"])).read_text()
    assert known.split(" ", 1)[1] == f"{key}\n"
    assert f"[{data['ssh_hostname']}]:2222" in known.split()[0].split(",")
