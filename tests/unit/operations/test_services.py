"""What `services` does about each state a service can be in; table-driven."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from facts.paths import Kind
from fleet.resources import File, Resources, RestartPolicy, RunningService
from operations import services
from operations.change import Change, HostContext
from tests.unit.conftest import FakeHost

UNIT = File("/etc/systemd/system/agentfleet-d.service", b"[Unit]\n", "services/unit.service.j2")
BINARY = "/usr/sbin/d"
SERVICE = RunningService("agentfleet-d.service", inputs=(UNIT.path, BINARY))
GOOD: dict[str, Any] = {"loaded": True, "running": True, "enabled": True}
BINARY_DIGEST = hashlib.sha256(b"elf").hexdigest()
STAMP = {UNIT.path: UNIT.sha256, BINARY: BINARY_DIGEST}


def linux() -> FakeHost:
    return FakeHost().has(UNIT).has_file(BINARY, b"elf", mode="0755")


def wants(host: FakeHost, *files: File) -> HostContext:
    """A context in which the host is to have these files."""
    return host.context("cap", Resources(files=files))


def plan(host: FakeHost, service: RunningService = SERVICE, *files: File) -> Change | None:
    return services.plan((service,), wants(host, *(files or (UNIT,))), host.look)


def test_a_current_service_is_left_alone() -> None:
    assert plan(linux().service(SERVICE.name, **GOOD, stamp=STAMP)) is None


@pytest.mark.parametrize(
    ("differing", "says", "does"),
    [
        ({"running": False}, "start", "bring start"),
        ({"running": False, "failed": True}, "start after a failure", "bring start"),
        ({"enabled": False}, "enable", "bring start"),
        ({"enabled": False, "running": False}, "enable, start", "bring start"),
        ({"stale": True}, "reload its definition", "bring start"),
        ({"loaded": False}, "restart: its definition is gone", "bring restart"),
        ({"loaded": False, "running": False}, "start", "bring start"),
        ({"stamp": None}, "restart: nobody noted what it started with", "bring restart"),
        ({"stamp": {}}, f"restart: {UNIT.path}, {BINARY} changed", "bring restart"),
        (
            {"stamp": STAMP | {BINARY: "0" * 64}},
            f"restart: {BINARY} changed",
            "bring restart",
        ),
        (
            {"stamp": STAMP | {"/etc/gone": "0" * 64}},
            "restart: /etc/gone changed",
            "bring restart",
        ),
        ({"stamp": STAMP | {BINARY: "0" * 64}, "running": False}, "start", "bring start"),
    ],
)
def test_what_is_wrong_and_its_cure(differing: dict[str, Any], says: str, does: str) -> None:
    change = plan(linux().service(SERVICE.name, **{**GOOD, "stamp": STAMP} | differing))
    assert change
    assert change.says == (f"service {SERVICE.name}: {says}",)
    assert change.script.splitlines()[0] == "systemctl daemon-reload"
    assert change.script.splitlines()[-1] == f"{does} {SERVICE.name}"
    assert change.pending == ()


def test_a_unit_that_is_not_written_yet_already_counts() -> None:
    """A dry run sees the restart that the new unit will bring."""
    new = File(UNIT.path, b"[Unit]\nDescription=new\n", UNIT.template)
    change = plan(linux().service(SERVICE.name, **GOOD, stamp=STAMP), SERVICE, new)
    assert change
    assert change.says == (f"service {SERVICE.name}: restart: {UNIT.path} changed",)


def test_inputs_that_nobody_has_do_not_count() -> None:
    host = FakeHost().has(UNIT).lacks(BINARY)
    host.service(SERVICE.name, **GOOD, stamp={UNIT.path: UNIT.sha256})
    assert plan(host) is None


@pytest.mark.parametrize("busy", [True, False])
def test_when_idle(busy: bool) -> None:
    patient = RunningService(
        SERVICE.name, SERVICE.inputs, policy=RestartPolicy.WHEN_IDLE, busy="is-busy"
    )
    host = linux().service(SERVICE.name, **GOOD, stamp=STAMP | {BINARY: "0"}, busy=busy)
    change = plan(host, patient)
    assert change
    if busy:
        waits = f"restart pending until it is idle: {BINARY} changed"
        assert change == Change((), "", pending=(f"service {SERVICE.name}: {waits}",))
    else:
        assert change.script.endswith(f"bring restart {SERVICE.name}")


def test_one_that_waits_does_not_stop_the_others() -> None:
    patient = RunningService("agentfleet-p.service", (), RestartPolicy.WHEN_IDLE, busy="x")
    host = linux().service(SERVICE.name, **{**GOOD, "running": False}, stamp=STAMP)
    host.service(patient.name, **{**GOOD, "loaded": False}, busy=True)
    change = services.plan((patient, SERVICE), wants(host, UNIT), host.look)
    assert change
    assert change.says == (f"service {SERVICE.name}: start",)
    assert len(change.pending) == 1


NOTIFIED = RunningService.notified("ssh.service", ("/etc/conf",), "systemctl try-restart")
CONF = File("/etc/conf", b"x", "t")


def told(stamp: dict[str, str] | None) -> Change | None:
    host = FakeHost().has(CONF).service("ssh.service", **GOOD, told=stamp)
    return plan(host, NOTIFIED, CONF)


def test_others_are_told_once_of_each_new_content() -> None:
    assert told({CONF.path: CONF.sha256}) is None
    for stamp in (None, {CONF.path: "0"}):
        change = told(stamp)
        assert change
        assert change.says == ("service ssh.service: take notice of /etc/conf",)
        lines = change.script.splitlines()
        assert lines[-4:] == [
            "systemctl try-restart ssh.service",
            "mkdir -p /var/lib/agentfleet/notified",
            "sha256sum /etc/conf >/var/lib/agentfleet/notified/ssh.stamp.new",
            "mv -f /var/lib/agentfleet/notified/ssh.stamp.new"
            " /var/lib/agentfleet/notified/ssh.stamp",
        ]


def test_two_may_tell_the_same_service() -> None:
    """What the one has told it is nothing new to the other, and is not forgotten for it."""
    theirs = {"/etc/other": "0"}
    assert told({CONF.path: CONF.sha256, **theirs}) is None
    again = replace(NOTIFIED, teller="cap")
    host = FakeHost().has(CONF).service("ssh.service", **GOOD, told=theirs)
    change = plan(host, again, CONF)
    assert change
    assert change.script.endswith(" /var/lib/agentfleet/notified/ssh+cap.stamp")


def test_a_dead_service_of_others_is_not_started() -> None:
    host = FakeHost().has(CONF).service("ssh.service", told={CONF.path: CONF.sha256})
    assert plan(host, NOTIFIED, CONF) is None


def test_others_are_not_told_of_what_is_not_there() -> None:
    two = RunningService.notified("s.service", ("/etc/conf", "/etc/none"), "tell")
    host = FakeHost().has(CONF).lacks("/etc/none").service("s.service")
    change = plan(host, two, CONF)
    assert change
    assert "sha256sum /etc/conf >" in change.script


def test_others_are_told_of_a_mended_file_whatever_they_were_told_before() -> None:
    """Somebody may have changed it and made the service take notice of that."""
    told = FakeHost().service("ssh.service", told={CONF.path: CONF.sha256})
    assert plan(told.has_file(CONF.path, b"tampered with"), NOTIFIED, CONF)
    assert plan(told.has(CONF), NOTIFIED, CONF) is None


def test_what_was_noted_and_is_gone_is_forgotten() -> None:
    host = FakeHost().lacks("/etc/conf").service("ssh.service", told={"/etc/conf": "0"})
    change = services.plan((NOTIFIED,), host.context(), host.look)
    assert change
    assert "\n: >/var/lib/agentfleet/notified/ssh.stamp.new" in change.script


@pytest.mark.parametrize(("container", "acts"), [("", True), ("wsl", False), ("docker", False)])
def test_the_clock_is_left_alone_where_it_is_not_ours(container: str, acts: bool) -> None:
    clock = RunningService("systemd-timesyncd.service", unless_virtual=True)
    host = FakeHost().service(clock.name)
    host.container = container
    assert bool(plan(host, clock)) is acts


def test_a_service_nobody_looked_at_raises() -> None:
    with pytest.raises(LookupError, match=r"nobody looked at the service agentfleet-d.service"):
        plan(linux())


def test_an_input_nobody_looked_at_raises() -> None:
    with pytest.raises(LookupError, match="nobody looked at /usr/sbin/d"):
        plan(FakeHost().has(UNIT).service(SERVICE.name, **GOOD, stamp=STAMP))


PLIST = File("/Library/LaunchDaemons/org.agentfleet.d.plist", b"<plist/>", "services")
JOB = RunningService("org.agentfleet.d", inputs=(PLIST.path,))
JOB_STAMP = {PLIST.path: PLIST.sha256}


@pytest.mark.parametrize(
    ("state", "says", "does"),
    [
        ({"enabled": True}, "start", "bring start org.agentfleet.d"),
        ({"loaded": True, "enabled": True}, "start", "bring start org.agentfleet.d"),
        ({}, "enable, start", "bring start org.agentfleet.d"),
        (
            {"loaded": True, "running": True, "stamp": JOB_STAMP},
            "enable",
            "launchctl enable system/org.agentfleet.d",
        ),
        (
            {**GOOD, "stamp": {PLIST.path: "0"}},
            f"restart: {PLIST.path} changed",
            "bring restart org.agentfleet.d",
        ),
    ],
)
def test_launchd(state: dict[str, Any], says: str, does: str) -> None:
    host = FakeHost(mac=True).has(PLIST).service(JOB.name, **state)
    change = plan(host, JOB, PLIST)
    assert change
    assert change.says == (f"service {JOB.name}: {says}",)
    assert change.script.splitlines()[-1] == does
    assert "systemctl" not in change.script


def test_a_job_that_runs_is_left_alone() -> None:
    host = FakeHost(mac=True).has(PLIST).service(JOB.name, **GOOD, stamp=JOB_STAMP)
    assert plan(host, JOB, PLIST) is None


@pytest.mark.parametrize(
    ("state", "acts"),
    [
        ({"masked": True}, False),
        ({"masked": True, "running": True}, True),
        ({"loaded": True}, True),
        ({}, True),
    ],
)
def test_masks(state: dict[str, bool], acts: bool) -> None:
    host = FakeHost().service("theirs.service", **state)
    change = services.plan_masks(("theirs.service",), host.look)
    assert bool(change) is acts
    if change:
        assert change.says == ("unit theirs.service: mask",)
        assert change.script.splitlines()[0] == "systemctl mask theirs.service"


def test_kinds_of_input_other_than_files_have_no_digest() -> None:
    host = FakeHost().has(UNIT).has_file(BINARY, kind=Kind.DIRECTORY, sha256="")
    host.service(SERVICE.name, **GOOD, stamp={UNIT.path: UNIT.sha256})
    assert plan(host) is None


@pytest.mark.parametrize("installed", [True, False])
def test_a_service_that_may_be_absent(installed: bool) -> None:
    clock = RunningService("systemd-timesyncd.service", unless_absent=True)
    host = FakeHost().service(clock.name, loaded=installed)
    assert bool(plan(host, clock)) is installed


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (GOOD, "disable, stop, since it is off in fleet.yaml"),
        ({"loaded": True, "enabled": True}, "disable, since it is off in fleet.yaml"),
        ({"loaded": True, "running": True}, "stop, since it is off in fleet.yaml"),
        ({"loaded": True}, ""),
        ({}, ""),
    ],
)
def test_what_is_off_neither_starts_nor_runs(state: dict[str, Any], says: str) -> None:
    """However its inputs are, and however busy it is: it was turned off by its owner's word."""
    off = RunningService(
        SERVICE.name, inputs=SERVICE.inputs, policy=RestartPolicy.WHEN_IDLE, busy="true", off=True
    )
    change = plan(linux().service(SERVICE.name, **state, busy=True), off)
    if not says:
        assert change is None
        return
    assert change is not None
    assert change.says == (f"service {SERVICE.name}: {says}",)
    assert change.script.endswith(f"\nrest {SERVICE.name}")
