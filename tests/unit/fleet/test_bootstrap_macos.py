"""The script for a Mac's console, run on Macs that are fresh, wrong, or lack what a run needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.bootstrap import script_for
from fleet.lock import ArtifactsLock
from fleet.model import load_fleet
from fleet.view import HostView
from tests.unit.fleet.fresh import FINGERPRINT, Fresh
from tests.unit.fleet.test_trust import key

KEY = f"{key('w')} laptop"
DESK = """\
  desk: {role: workstation-mac, os: macos, arch: x86_64, cores: 4, addresses: {lan: 10.0.0.7}}
"""
Render = Callable[[str], str]


@pytest.fixture
def render(fleet_file: Path) -> Render:
    """The script of a Mac of the small fleet: `mac`, which nobody sits at, or `desk`."""
    text = fleet_file.read_text().replace("pi: 5,", "pi: 5, workstation-mac: 5,")
    fleet_file.write_text(text + DESK)

    def script(name: str) -> str:
        fleet = load_fleet(fleet_file)
        return script_for(HostView(fleet, fleet.host(name), ArtifactsLock()), (KEY,)).text

    return script


@pytest.fixture
def fresh(tmp_path: Path) -> Fresh:
    return a_mac(tmp_path)


def a_mac(root: Path, *, manager: str = "/opt/local/bin/port", **says: str) -> Fresh:
    known = {"kernel": "Darwin", "machine": "x86_64", "addresses": "10.0.0.2", "name": "fresh-mac"}
    fresh = Fresh(root / "fresh", **{**known, **says})
    if manager:
        fresh.file(manager).parent.mkdir(parents=True)
        fresh.file(manager).write_text("#!/bin/sh\n")
        fresh.file(manager).chmod(0o755)
    return fresh


def test_a_fresh_mac_becomes_one_of_the_fleet(fresh: Fresh, render: Render) -> None:
    ended = fresh.run(render("mac"))
    assert (ended.code, ended.said("missing")) == (0, []), ended.out + ended.err
    assert ended.out.endswith(f"\n  fleet trust mac --fingerprint {FINGERPRINT}\n")
    keys = fresh.file("/Users/admin/.ssh/authorized_keys")
    assert keys.read_text() == f"{KEY}\n"
    assert "systemsetup -f -setremotelogin on" in fresh.log
    assert "softwareupdate --install Command Line Tools for Xcode-15.1" in fresh.log
    assert "pmset -a sleep 0 disksleep 0" in fresh.log
    assert "pmset -a autorestart 1" in fresh.log
    assert [line for line in fresh.log if "UniqueID 503" in line], "the next free one"
    assert [line for line in fresh.log if "Password *" in line], "no password opens it"


@pytest.mark.parametrize("name", ["mac", "desk"])
def test_again_nothing_changes(name: str, render: Render, tmp_path: Path) -> None:
    fresh = a_mac(tmp_path, addresses="10.0.0.7" if name == "desk" else "10.0.0.2")
    fresh.run(render(name))
    before, log = fresh.files(), fresh.log
    ended = fresh.run(render(name))
    assert (ended.code, ended.said("changed")) == (0, [])
    assert (fresh.files(), fresh.log) == (before, log)


def test_to_check_changes_nothing(fresh: Fresh, render: Render) -> None:
    before = fresh.files()
    ended = fresh.run(render("mac"), "--check")
    assert ended.code == 0, ended.out + ended.err
    assert fresh.files() == before
    assert len(ended.said("would change")) >= 7
    assert "fleet trust" not in ended.out


def test_a_mac_that_somebody_works_at_may_sleep(render: Render, tmp_path: Path) -> None:
    fresh = a_mac(tmp_path, addresses="10.0.0.7", vault="On")
    ended = fresh.run(render("desk"))
    assert ended.code == 0
    assert not [line for line in fresh.log if line.startswith("pmset")]
    assert "FileVault" not in ended.out


def test_a_laptop_works_with_its_lid_closed(render: Render, tmp_path: Path) -> None:
    power = "Battery Power:\n sleep 1\n disksleep 10\nAC Power:\n sleep 1\n disksleep 10"
    fresh = a_mac(tmp_path, power=power, capabilities="Capabilities for AC Power:\n sleep")
    ended = fresh.run(render("mac"))
    assert ended.code == 0
    assert "pmset -a disablesleep 1" in fresh.log
    assert "it does not start by itself when power comes back" in ended.out


def test_filevault_is_told(render: Render, tmp_path: Path) -> None:
    ended = a_mac(tmp_path, vault="On").run(render("mac"))
    assert ended.code == 0
    assert "FileVault is on" in ended.out
    assert "fdesetup authrestart" in ended.out


def test_remote_login_without_full_disk_access(fresh: Fresh, render: Render) -> None:
    fresh.say("no-disk-access")
    assert fresh.run(render("mac")).code == 0
    assert "launchctl bootstrap system /System/Library/LaunchDaemons/ssh.plist" in fresh.log


def test_only_some_may_use_remote_login(fresh: Fresh, render: Render) -> None:
    fresh.say("chosen")
    assert fresh.run(render("mac")).code == 0
    assert "dseditgroup -o edit -a admin -t user com.apple.access_ssh" in fresh.log


@pytest.mark.parametrize("manager", ["/usr/local/bin/brew", "/opt/local/bin/port"])
def test_a_package_manager_is_left_as_it_is(manager: str, render: Render, tmp_path: Path) -> None:
    fresh = a_mac(tmp_path, manager=manager)
    assert fresh.run(render("mac")).code == 0
    assert fresh.file(manager).read_text() == "#!/bin/sh\n"


def test_neither_package_manager(render: Render, tmp_path: Path) -> None:
    fresh = a_mac(tmp_path, manager="", version="14.2")
    ended = fresh.run(render("mac"))
    assert ended.code == 1
    assert "install MacPorts from its package for macOS 14.2" in ended.err
    assert "fleet trust" not in ended.out
    assert fresh.file("/Users/admin/.ssh/authorized_keys").exists(), "all else is done"


def test_a_mac_that_is_too_old_for_an_agent(
    render: Render, tmp_path: Path, fleet_file: Path
) -> None:
    """And the remedy works, as it stands in the message."""
    fresh = a_mac(tmp_path, version="12.7.6")
    ended = fresh.run(render("mac"))
    assert ended.code == 1
    assert "Claude Code needs macOS 13, and this is 12.7.6" in ended.err
    remedy = "without: [claude_code, agentapi, dispatch, backup]"
    assert remedy in ended.err
    text = fleet_file.read_text()
    fleet_file.write_text(text.replace("lan: 10.0.0.2}}", f"lan: 10.0.0.2}}, {remedy}}}"))
    assert fresh.run(render("mac")).code == 0


def test_tools_that_cannot_be_had(fresh: Fresh, render: Render) -> None:
    fresh.say("updates", "No new software available.")
    ended = fresh.run(render("mac"))
    assert ended.code == 1
    assert "xcode-select --install" in ended.err


@pytest.mark.parametrize(
    ("says", "word"),
    [
        ({"kernel": "Linux"}, "this is Linux; mac is a Mac"),
        ({"machine": "arm64"}, "this Mac has Apple's processor"),
        ({"silicon": "1"}, "this Mac has Apple's processor"),
        ({"uid": "501"}, "only root may do this"),
        ({"addresses": ""}, "this machine has no address in a network"),
        ({"addresses": "10.0.0.7"}, "this is desk: fleet.yaml knows 10.0.0.7 as that host"),
        ({"name": "desk"}, "this is desk: fleet.yaml knows desk as that host"),
    ],
)
def test_a_wrong_machine_is_left_alone(
    says: dict[str, str], word: str, render: Render, tmp_path: Path
) -> None:
    fresh = a_mac(tmp_path, **says)
    before = fresh.files()
    ended = fresh.run(render("mac"))
    assert ended.code == 1
    assert word in ended.err
    assert fresh.files() == before
