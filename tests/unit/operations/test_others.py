"""Packages, users, settings, builds, artifacts, leftovers: changed, unchanged, refused, run."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from facts.manifests import Entry
from fleet.resources import Artifact, Build, Manager, Package, Setting, User
from operations import artifacts, builds, leftovers, packages, settings, users
from operations.change import HostContext, RefusedError, wrap
from tests.unit.conftest import FakeHost, FakeProgram, RealHost, lines

PACKAGES = (
    Package("git"),
    Package("icecc", {Manager.BREW: "icecream", Manager.PACMAN: None, Manager.PORT: None}),
)


# packages


@pytest.mark.parametrize(
    ("manager", "missing"),
    [
        (Manager.APT, ("git", "icecc")),
        (Manager.PACMAN, ("git",)),
        (Manager.BREW, ("git", "icecream")),
        (Manager.PORT, ("git",)),
    ],
)
def test_packages_by_the_managers_own_names(manager: Manager, missing: tuple[str, ...]) -> None:
    host = FakeHost(manager=manager, mac=manager in (Manager.BREW, Manager.PORT))
    change = packages.plan(PACKAGES, host.not_installed(*missing).look)
    assert change
    assert change.says == tuple(f"package {n}: install with {manager.value}" for n in missing)
    assert " ".join(missing) in change.script
    assert packages.plan(PACKAGES, host.installed(*missing).look) is None


def test_only_what_is_missing_is_installed() -> None:
    host = FakeHost(manager=Manager.APT).installed("git").not_installed("icecc")
    change = packages.plan(PACKAGES, host.look)
    assert change
    assert change.says == ("package icecc: install with apt",)
    assert "git" not in change.script
    assert "--no-remove" in change.script


@pytest.mark.parametrize("other", [True, False])
def test_a_package_that_would_drive_another_one_away(other: bool) -> None:
    clock = Package("systemd-timesyncd", unless=("chrony",))
    host = FakeHost(manager=Manager.APT).not_installed(clock.name)
    host = host.installed("chrony") if other else host.not_installed("chrony")
    assert bool(packages.plan((clock,), host.look)) is not other


def test_a_package_the_test_did_not_speak_of_raises() -> None:
    with pytest.raises(LookupError, match="did not say whether the host has git"):
        packages.plan(PACKAGES, FakeHost(manager=Manager.APT).look)


def test_a_mac_without_a_manager_gets_none() -> None:
    change = packages.plan(PACKAGES, FakeHost(mac=True).look)
    assert change
    assert (change.says, change.script) == ((), "")
    assert "neither Homebrew nor MacPorts" in change.pending[0]


def test_linux_without_a_manager_is_refused() -> None:
    with pytest.raises(RefusedError, match="neither pacman nor apt-get"):
        packages.plan(PACKAGES, FakeHost().look)


APT_GET = """echo "$*" >>{root}/calls
case "$*" in
    *update*) touch {root}/updated ;;
    *fix-broken*) exit 1 ;;
    *install*) [ -e {root}/updated ] ;;
esac"""


def test_apt_fetches_lists_only_when_it_must(real_host: RealHost, program: FakeProgram) -> None:
    directory = program("apt-get", APT_GET.format(root=real_host.root))
    real_host.path = f"{directory}:{real_host.path}"
    change = packages.plan(
        (Package("git"),), FakeHost(manager=Manager.APT).not_installed("git").look
    )
    assert change
    for updates in (1, 0):
        (real_host.root / "calls").unlink(missing_ok=True)
        assert real_host.run(change).returncode == 0
        assert (real_host.root / "calls").read_text().count("update") == updates


def test_pacman_says_what_to_do_about_an_old_list(
    real_host: RealHost, program: FakeProgram
) -> None:
    directory = program("pacman", "exit 1")
    program("ls", "exit 0")
    real_host.path = f"{directory}:{real_host.path}"
    host = FakeHost(manager=Manager.PACMAN).not_installed("git")
    change = packages.plan((Package("git"),), host.look)
    assert change
    run = real_host.run(change)
    assert run.returncode == 1
    assert "agentfleet: pacman could not install git; " in run.stderr
    assert "pacman -Syu" in run.stderr


# users


USER = User("_d", home="/var/d d", comment="it's a daemon")


def test_users() -> None:
    host = FakeHost().user("_d", there=True)
    assert users.plan((USER,), host.context(), host.look) is None
    host.user("_d", there=False)
    change = users.plan((USER,), host.context(), host.look)
    assert change
    assert change.says == ("user _d: create",)
    assert "useradd" in change.script
    with pytest.raises(LookupError):
        users.plan((User("other"),), host.context(), host.look)


DSCL = """echo "$*" >>'{root}/calls'
case "$*" in
    *-list*Users*) printf 'root 0\\n_a   300\\n' ;;
    *-list*Groups*) printf 'wheel 0\\n_b   301\\n' ;;
esac"""


def test_a_macs_user_gets_the_first_free_id_last(real_host: RealHost, program: FakeProgram) -> None:
    directory = program("dscl", DSCL.format(root=real_host.root))
    real_host.path = f"{directory}:{real_host.path}"
    host = FakeHost(mac=True).user("_d", there=False)
    change = users.plan((USER,), host.context(), host.look)
    assert change
    assert real_host.run(change).returncode == 0
    calls = [c for c in (real_host.root / "calls").read_text().splitlines() if "-create" in c]
    assert ". -create /Groups/_d PrimaryGroupID 302" in calls
    assert ". -create /Users/_d NFSHomeDirectory /var/d d" in calls
    assert calls[-1] == ". -create /Users/_d UniqueID 302", "by it the account counts as there"


# settings


def setting(host: RealHost, write: str = "") -> Setting:
    store = host.root / "store"
    return Setting("name", "want it", f"cat '{store}'", write or f"echo 'want it' >'{store}'")


def test_settings(real_host: RealHost) -> None:
    it = setting(real_host)
    assert settings.plan((it,), FakeHost().value("name", "want it").look) is None
    change = settings.plan((it,), FakeHost().value("name", "").look)
    assert change
    assert change.says == ("name: (none) → want it",)
    assert real_host.run(change).returncode == 0
    assert (real_host.root / "store").read_text() == "want it\n"
    with pytest.raises(LookupError, match="nobody looked at the value name"):
        settings.plan((it,), FakeHost().look)


def test_a_setting_that_does_not_take_is_an_error(real_host: RealHost) -> None:
    it = setting(real_host, write=f"echo other >'{real_host.root}/store'")
    change = settings.plan((it,), FakeHost().value("name", "old").look)
    assert change
    run = real_host.run(change)
    assert (run.returncode, run.stderr) == (1, "agentfleet: name did not become want it\n")


# builds and artifacts


def source(content: bytes, path: str) -> Artifact:
    digest = hashlib.sha256(content).hexdigest()
    return Artifact("src", "1.0", path, digest, len(content))


SOURCE = source(b"x", "/a/src")
BUILD = Build("prog", "1.0-1", "/b/build", "/opt/stamp", SOURCE, Manager.PACMAN)


def test_what_is_packed_from_the_host_itself_needs_neither_source_nor_manager() -> None:
    packing = Build("environment", "16.0.6 it 1", "/b/pack", "/opt/stamp", says="pack")
    host = FakeHost(manager=Manager.APT).lacks("/opt/stamp")
    change = builds.plan(packing, host.look)
    assert change
    assert change.says == ("environment 16.0.6 it 1: pack",)
    assert change.script == "/b/pack '16.0.6 it 1'"
    assert not builds.plan(packing, host.has_file("/opt/stamp", b"16.0.6 it 1\n").look)


def test_what_was_made_and_is_gone_is_made_again() -> None:
    packing = Build("environment", "1", "/b/pack", "/opt/stamp", makes="/opt/it", says="pack")
    host = FakeHost(manager=Manager.APT).has_file("/opt/stamp", b"1\n").has_file("/opt/it", b"it")
    assert not builds.plan(packing, host.look)
    assert lines(builds.plan(packing, host.lacks("/opt/it").look)) == ("environment 1: pack",)


def test_builds() -> None:
    host = FakeHost(manager=Manager.PACMAN).lacks("/opt/stamp")
    change = builds.plan(BUILD, host.look)
    assert change
    assert change.says == ("prog 1.0-1: build from source (takes minutes)",)
    checked = f"verified src {SOURCE.sha256} /a/src"
    assert change.script.splitlines()[-2:] == [checked, "/b/build /a/src"]
    assert builds.plan(BUILD, host.has_file("/opt/stamp", b"0.9-1\n").look)
    assert builds.plan(BUILD, host.has_file("/opt/stamp", b"1.0-1\n").look) is None


def test_a_build_is_for_one_manager_only() -> None:
    assert builds.plan(BUILD, FakeHost(manager=Manager.BREW).look) is None
    assert builds.plan(BUILD, FakeHost().look) is None


def test_a_source_that_was_damaged_is_not_built(real_host: RealHost) -> None:
    it = source(b"bytes", str(real_host.root / "src"))
    build = replace(BUILD, script=str(real_host.root / "build"), artifact=it)
    (real_host.root / "build").write_text(f"#!/bin/sh\ncp $1 {real_host.root}/built\n")
    (real_host.root / "build").chmod(0o755)
    change = builds.plan(build, FakeHost(manager=Manager.PACMAN).lacks("/opt/stamp").look)
    assert change
    Path(it.path).write_bytes(b"forge")
    run = real_host.run(change)
    assert run.returncode == 1
    assert f"src is damaged, {it.path} is {hashlib.sha256(b'forge').hexdigest()}" in run.stderr
    assert not (real_host.root / "built").exists()
    assert not Path(it.path).exists(), "so the next run fetches it"
    Path(it.path).write_bytes(b"bytes")
    assert real_host.run(change).returncode == 0
    assert (real_host.root / "built").read_bytes() == b"bytes"


def test_whether_an_artifact_is_there() -> None:
    it = source(b"bytes", "/a/src")
    sealed = {"mtime": artifacts.SEAL, "sha256": ""}
    assert artifacts.absent(it, FakeHost().lacks("/a/src").look)
    assert artifacts.absent(it, FakeHost().has_file("/a/src", b"byte", **sealed).look)
    assert artifacts.absent(it, FakeHost().has_file("/a/src", b"bytes", mtime=1).look)
    assert not artifacts.absent(it, FakeHost().has_file("/a/src", b"bytes", **sealed).look)


def test_an_artifact_is_taken_in(real_host: RealHost) -> None:
    it = source(b"bytes", str(real_host.root / "a b" / "src"))
    parcel = real_host.root / "par cel"
    parcel.write_bytes(b"bytes")
    run = real_host.sh(wrap(artifacts.receive(it, str(parcel), FakeHost().context())))
    assert (run.returncode, run.stderr) == (0, "")
    assert real_host.tree() == {"a b/src": b"bytes"}


def test_a_wrong_artifact_is_not(real_host: RealHost) -> None:
    """Neither is the one that is there replaced."""
    it = source(b"bytes", str(real_host.root / "a" / "src"))
    Path(it.path).parent.mkdir()
    Path(it.path).write_bytes(b"bytes")
    parcel = real_host.root / "parcel"
    parcel.write_bytes(b"forged")
    run = real_host.sh(wrap(artifacts.receive(it, str(parcel), FakeHost().context())))
    assert run.returncode == 1
    forged = hashlib.sha256(b"forged").hexdigest()
    assert f"src arrived as {forged}, pinned is {it.sha256}: not installed" in run.stderr
    assert real_host.tree() == {"a/src": b"bytes"}


# leftovers


def test_nothing_is_left_over() -> None:
    host = FakeHost().carries("cap", Entry("file", "/etc/a"))
    assert leftovers.plan(frozenset({"cap"}), host.context(), host.look) is None


def test_departed_capabilities_leave() -> None:
    host = FakeHost().carries("cap", Entry("file", "/etc/a"), Entry("file", "/etc/shared"))
    context = HostContext(
        "leftovers", False, host.state_dir, (), frozenset({("file", "/etc/shared")})
    )
    change = leftovers.plan(frozenset({"other"}), context, host.look)
    assert change
    assert change.says == ("file /etc/a: remove", "capability cap: gone")
    assert "shared" not in change.script
    assert change.script.endswith("rm -f /var/lib/agentfleet/manifests/cap.json")


def test_an_empty_manifest_leaves_too(real_host: RealHost) -> None:
    host = FakeHost().carries("cap")
    change = leftovers.plan(frozenset(), host.context(), host.look)
    assert change
    assert change.says == ("capability cap: gone",)
    assert real_host.run(change).returncode == 0


# what waits for something, what must be there


def test_a_setting_that_counts_later_is_pending_and_not_written_again(real_host: RealHost) -> None:
    store = real_host.root / "store"
    one = Setting(
        "limits",
        "on",
        f"cat '{store}'",
        f"echo later >'{store}'",
        complaint="reboot",
        later="later",
    )
    change = settings.plan((one,), FakeHost().value("limits", "off").look)
    assert change
    assert change.says == ("limits: off → on",)
    assert real_host.run(change).returncode == 0
    change = settings.plan((one,), FakeHost().value("limits", "later").look)
    assert change
    assert (change.says, change.script, change.pending) == ((), "", ("limits: reboot",))
    assert settings.plan((one,), FakeHost().value("limits", "on").look) is None


def test_a_mac_that_cannot_have_what_it_needs_is_refused() -> None:
    with pytest.raises(RefusedError, match="it needs jq, and this Mac has neither Homebrew nor"):
        packages.plan((Package("git"), Package("jq", required=True)), FakeHost(mac=True).look)


def test_an_account_that_may_log_in_has_a_shell() -> None:
    one = User("ctl", home="/var/ctl", login_shell="/bin/sh")
    for mac, nobody in ((True, "/usr/bin/false"), (False, "/usr/sbin/nologin")):
        host = FakeHost(mac=mac).user("ctl", there=False)
        change = users.plan((one,), host.context(), host.look)
        assert change
        assert "/bin/sh" in change.script
        assert nobody not in change.script
