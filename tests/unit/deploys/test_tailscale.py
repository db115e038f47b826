"""Where Tailscale comes from, whom its archive is trusted for, and which hosts run it."""

from __future__ import annotations

import base64
import hashlib
import plistlib
import re
from dataclasses import replace

import pytest

from deploys.sources import KEYRING, TAILSCALE
from deploys.tailscale import unavailable
from facts.look import Look
from facts.services import ServiceState
from facts.system import System
from facts.tailnet import Tailnet
from fleet import converge
from fleet.model import Os
from fleet.plan import ONLY, wanted
from fleet.problems import FleetError
from fleet.resources import NO_MANAGER, Manager, Resources, RunningService
from fleet.view import TEMPLATES, HostView
from tests.golden import views
from tests.unit.deploys.test_resources import text, view

MACS = ("macbook1", "imac", "macbook2")
WINDOWS = ("windows-desktop", "windows-laptop")
APP = "/Applications/Tailscale.app/Contents/MacOS/Tailscale"


def sources(name: str, **differing: object) -> Resources:
    return wanted(view(name, **differing))["sources"]


def tailscale(name: str, **differing: object) -> Resources:
    return wanted(view(name, **differing))["tailscale"]


# the vendor's archive


@pytest.fixture
def keyring() -> bytes:
    """The bytes inside the armor."""
    text = (TEMPLATES / "sources" / "tailscale.asc").read_text()
    begin, end = (f"-----{word} PGP PUBLIC KEY BLOCK-----\n" for word in ("BEGIN", "END"))
    armor = re.fullmatch(f"{begin}\n(.*)\n=(.{{4}})\n{end}", text, re.DOTALL)
    assert armor
    content = base64.b64decode(armor[1])
    assert base64.b64decode(armor[2]) == _crc24(content).to_bytes(3, "big")
    return content


def _crc24(content: bytes) -> int:
    """The armor's checksum (RFC 4880, 6.1)."""
    crc = 0xB704CE
    for byte in content:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc


def test_the_keyring_is_the_one_that_was_compared(keyring: bytes) -> None:
    digest = hashlib.sha256(keyring).hexdigest()
    assert digest == "3e03dacf222698c60b8e2f990b809ca1b3e104de127767864284e6c228f1fb39"


def test_its_key_has_the_fingerprint_that_the_vendor_publishes(keyring: bytes) -> None:
    """A version 4 fingerprint is the SHA-1 of 0x99, the length and the packet's body."""
    assert keyring[0] == 0x99, "an old-format public key packet with a length of two bytes"
    length = int.from_bytes(keyring[1:3], "big")
    assert keyring[3] == 4
    fingerprint = hashlib.sha1(keyring[: 3 + length], usedforsecurity=False).hexdigest().upper()
    assert fingerprint == "2596A99EAAB33821893C0A79458CA832957F5868"


def test_it_comes_as_it_is() -> None:
    (file,) = [file for file in sources("rpi1").files if file.path == KEYRING]
    assert file.content == (TEMPLATES / "sources" / "tailscale.asc").read_bytes()


@pytest.mark.parametrize(
    ("os", "archive"),
    [
        (Os.DEBIAN, ("stable/debian", "bookworm")),
        (Os.RASPIOS, ("stable/debian", "bookworm")),
        (Os.UBUNTU, ("stable/ubuntu", "jammy")),
    ],
)
def test_every_debian_has_its_archive(os: Os, archive: tuple[str, str]) -> None:
    said = text(sources("rpi1", os=os), "agentfleet-tailscale.sources")
    fields = dict(line.split(": ", 1) for line in said.splitlines() if not line.startswith("#"))
    assert fields.pop("URIs").endswith(archive[0])
    assert fields == {
        "Types": "deb",
        "Suites": archive[1],
        "Components": "main",
        "Signed-By": KEYRING,
    }


def test_the_archive_is_trusted_for_its_own_packages_alone() -> None:
    want = sources("rpi1")
    said = text(want, "agentfleet-tailscale")
    stanzas = [dict(re.findall(r"^([\w-]+): (.*)$", part, re.M)) for part in said.split("\n\n")]
    own, others = stanzas
    assert own["Package"].split() == ["tailscale", "tailscale-archive-keyring"]
    assert (others["Package"], others["Pin-Priority"]) == ("*", "-1")
    origin = own["Pin"].removeprefix("origin ")
    assert own["Pin"] == others["Pin"]
    assert f"//{origin}/" in text(want, "agentfleet-tailscale.sources"), "or the pin is for nothing"
    assert 0 < int(own["Pin-Priority"]) <= 500, "never above the distribution's"


def test_no_archive_where_nothing_is_installed_from_it() -> None:
    having = {name for name, found in views().items() if wanted(found)["sources"] != Resources()}
    assert having == {"rpi1", "rpi2", "rpi3"}, "Arch and Macs have it themselves, Windows too"
    assert set(TAILSCALE) == set(Os) - {Os.ARCH, Os.MACOS}


# who runs it


def test_linux_runs_the_packages_own_unit() -> None:
    for name in ("arch-orchestrator", "rpi1"):
        want = tailscale(name)
        assert [package.name for package in want.packages] == ["tailscale"]
        assert (want.files, want.services) == ((), (RunningService("tailscaled.service"),))


@pytest.mark.parametrize("name", MACS)
def test_a_mac_gets_a_daemon_that_needs_no_login(name: str) -> None:
    want = tailscale(name)
    (file, rotation), (service,) = want.files, want.services
    assert rotation.path == "/etc/newsyslog.d/agentfleet-tailscaled.conf"
    assert file.path == "/Library/LaunchDaemons/org.agentfleet.tailscaled.plist"
    job = plistlib.loads(file.content)
    helper = "/usr/local/libexec/agentfleet/with-log"
    log = "/var/log/agentfleet/tailscaled.log"
    assert job["ProgramArguments"][-4:] == ["--", helper, log, "tailscaled"]
    assert job["EnvironmentVariables"]["PATH"].startswith("/usr/local/bin:/opt/local/bin:")
    places = ("/usr/local/bin/tailscaled", "/opt/local/bin/tailscaled")
    assert service.inputs == (file.path, helper, *places), (
        "Homebrew's and MacPorts', not the application's"
    )


@pytest.mark.parametrize("name", WINDOWS)
def test_in_wsl_windows_is_in_the_tailnet(name: str) -> None:
    want = tailscale(name)
    assert want.node
    assert want == Resources(node=want.node)
    assert not want.node.joins
    assert [path.rpartition(".")[2] for path in want.node.programs] == ["exe"]


def test_everybody_is_called_by_their_name_and_machines_alone_are_tagged() -> None:
    found = {name: wanted(it)["tailscale"].node for name, it in views().items()}
    assert {name: node.tags for name, node in found.items() if node} == {
        "arch-orchestrator": ("tag:orchestrator",),
        "macbook1": ("tag:headless-mac",),
        "imac": ("tag:headless-mac",),
        "macbook2": (),  # somebody's own
        "rpi1": ("tag:pi",),
        "rpi2": ("tag:pi",),
        "rpi3": ("tag:pi",),
        "windows-desktop": (),
        "windows-laptop": (),
    }
    assert all(node and node.name == name for name, node in found.items())


# what hinders it


def mac(manager: Manager | None, program: str = "") -> Look:
    return Look(system=System("Darwin", manager=manager), tailnet=Tailnet(program))


def test_a_person_looks_after_their_application() -> None:
    said = unavailable(views()["macbook2"], mac(Manager.BREW, APP))
    assert said == f"{APP} is here, which its person looks after"


@pytest.mark.parametrize("ours", [True, False])
def test_two_daemons_on_one_mac_would_fight(ours: bool) -> None:
    """Tailscale's own manual has one installed otherwise."""
    (service,) = tailscale("imac").services
    seen = replace(
        mac(Manager.BREW),
        tailnet=Tailnet("/usr/local/bin/tailscale", state="Running", ipv4="100.101.0.3"),
        services={service.name: ServiceState(loaded=ours)},
    )
    said = unavailable(views()["imac"], seen)
    assert bool(said) is not ours
    assert ours or "sudo tailscaled uninstall-system-daemon" in said


def test_a_mac_without_a_manager_cannot_have_it() -> None:
    found = views()["imac"]
    assert unavailable(found, mac(None)) == NO_MANAGER
    assert unavailable(found, mac(Manager.PORT)) == ""
    assert unavailable(found, mac(Manager.BREW, "/usr/local/bin/tailscale")) == ""
    assert unavailable(views()["rpi1"], Look()) == ""


# the auth key is asked for before anything is changed, where it will be needed


@pytest.fixture
def without_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TS_AUTH_KEY", raising=False)
    monkeypatch.delenv(ONLY, raising=False)


@pytest.mark.usefixtures("without_key")
@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("rpi1", Look()),
        ("rpi1", Look(tailnet=Tailnet("/usr/bin/tailscale", joined=True, state="NeedsLogin"))),
        ("imac", mac(Manager.PORT)),
    ],
)
def test_a_host_that_must_log_in_needs_the_key(name: str, seen: Look) -> None:
    with pytest.raises(FleetError, match=rf"secrets.tailscale_auth_key: {name} needs this secret"):
        converge._require_key(views()[name], seen)


@pytest.mark.usefixtures("without_key")
@pytest.mark.parametrize(
    ("found", "seen"),
    [
        (views()["rpi1"], Look(tailnet=Tailnet("/t", state="Running", ipv4="100.101.0.5"))),
        (views()["rpi1"], Look(tailnet=Tailnet("/t", state="Stopped"))),
        (views()["rpi1"], Look(tailnet=Tailnet("/t", joined=True))),  # its daemon is down
        (views()["imac"], mac(None)),
        (views()["macbook2"], mac(Manager.BREW, APP)),
        (views()["windows-desktop"], Look()),
        (view("rpi1", without=("tailscale",)), Look()),
    ],
)
def test_nobody_else_does(found: HostView, seen: Look) -> None:
    converge._require_key(found, seen)


@pytest.mark.usefixtures("without_key")
def test_it_is_not_needed_for_another_capability_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ONLY, "operators")
    converge._require_key(views()["rpi1"], Look())
    monkeypatch.setenv(ONLY, "operators,tailscale")
    with pytest.raises(FleetError):
        converge._require_key(views()["rpi1"], Look())
