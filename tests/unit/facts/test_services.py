"""What systemd and launchd say, and the stamps, read from recorded words and from this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from facts import services
from facts.probe import compose, split
from facts.services import ServicesProbe, ServiceState, service_stem
from tests.unit.conftest import FakeProgram

# systemctl show -p Id,LoadState,… of systemd 252
SYSTEMD = """\
Id=agentfleet-iceccd.service
Names=agentfleet-iceccd.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
NeedDaemonReload=yes
ConditionResult=yes

Id=iceccd.service
Names=iceccd.service
LoadState=masked
ActiveState=inactive
UnitFileState=masked
NeedDaemonReload=no

Id=none.service
Names=none.service
LoadState=not-found
ActiveState=inactive
UnitFileState=
NeedDaemonReload=no

Id=ssh.service
Names=sshd.service ssh.service
LoadState=loaded
ActiveState=reloading
UnitFileState=enabled
NeedDaemonReload=no

Id=broken.service
Names=broken.service
LoadState=loaded
ActiveState=failed
UnitFileState=disabled
NeedDaemonReload=no
stamps
stamp /var/run/agentfleet/iceccd.stamp
aaaa  /etc/systemd/system/agentfleet-iceccd.service
bbbb  /usr/sbin/with space
half
stamp /var/lib/agentfleet/notified/ssh.stamp
busy
agentfleet-iceccd.service
"""


def test_systemd() -> None:
    names = ("agentfleet-iceccd.service", "iceccd.service", "none.service", "sshd.service")
    probe = ServicesProbe((*names, "broken.service", "unheard.service"), False, "/s")
    seen = probe.parse(SYSTEMD.splitlines())
    assert seen == {
        "agentfleet-iceccd.service": ServiceState(
            loaded=True,
            running=True,
            enabled=True,
            stale=True,
            busy=True,
            stamp={
                "/etc/systemd/system/agentfleet-iceccd.service": "aaaa",
                "/usr/sbin/with space": "bbbb",
            },
        ),
        # The packaged unit has the stem of ours; it is masked, so nobody asks for its stamp.
        "iceccd.service": ServiceState(masked=True, stamp=seen["iceccd.service"].stamp),
        "none.service": ServiceState(),
        "sshd.service": ServiceState(loaded=True, running=True, enabled=True),
        "broken.service": ServiceState(loaded=True, failed=True),
        "unheard.service": ServiceState(),
    }


def test_an_empty_stamp_is_a_stamp() -> None:
    seen = ServicesProbe(("ssh.service",), False, "/s").parse(SYSTEMD.splitlines())
    assert seen["ssh.service"].told == {}


# launchctl print-disabled system, launchctl print system/LABEL on macOS 12 and 14
LAUNCHD = """\
disabled disabled services = {
disabled \t"com.apple.ftpd" => disabled
disabled \t"org.agentfleet.off" => disabled
disabled \t"org.agentfleet.iceccd" => enabled
disabled \t"org.agentfleet.old-words" => true
disabled \t"org.agentfleet.on" => false
disabled }
label org.agentfleet.iceccd
system/org.agentfleet.iceccd = {
\tactive count = 1
\tpath = /Library/LaunchDaemons/org.agentfleet.iceccd.plist
\ttype = LaunchDaemon
\tstate = running

\tprogram = /usr/local/libexec/agentfleet/stamp
\targuments = {
\t\t/usr/local/libexec/agentfleet/stamp
\t\tstate = fooled
\t}
\tpid = 312
\tspawn type = daemon (3)
}
label org.agentfleet.off
system/org.agentfleet.off = {
\tpath = /Library/LaunchDaemons/org.agentfleet.off.plist
\tstate = not running
\tlast exit code = 1
}
label org.agentfleet.old-words
label org.agentfleet.on
stamps
stamp /var/run/agentfleet/iceccd.stamp
aaaa  /Library/LaunchDaemons/org.agentfleet.iceccd.plist
busy
"""


def test_launchd() -> None:
    stems = ("iceccd", "off", "old-words", "on")
    probe = ServicesProbe(tuple(f"org.agentfleet.{stem}" for stem in stems), True, "/s")
    seen = probe.parse(LAUNCHD.splitlines())
    assert seen == {
        "org.agentfleet.iceccd": ServiceState(
            loaded=True,
            running=True,
            enabled=True,
            stamp={"/Library/LaunchDaemons/org.agentfleet.iceccd.plist": "aaaa"},
        ),
        "org.agentfleet.off": ServiceState(loaded=True),
        "org.agentfleet.old-words": ServiceState(),
        "org.agentfleet.on": ServiceState(enabled=True),
    }


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("agentfleet-iceccd.service", "iceccd"),
        ("org.agentfleet.iceccd", "iceccd"),
        ("ssh.service", "ssh"),
        ("systemd-journald.service", "systemd-journald"),
    ],
)
def test_stems(name: str, stem: str) -> None:
    assert service_stem(name) == stem


def test_a_look_at_stamps_and_questions(
    tmp_path: Path, program: FakeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state dir"
    (state / "notified").mkdir(parents=True)
    (state / "notified" / "ssh.stamp").write_text("cccc  /etc/ssh/conf\n")
    (tmp_path / "d.stamp").write_text("aaaa  /unit\n")
    monkeypatch.setattr(services, "RUN_DIR", str(tmp_path))
    directory = program("systemctl", "printf 'Id=agentfleet-d.service\\nActiveState=active\\n'")
    busy = {"agentfleet-d.service": "echo noise; true", "ssh.service": "exit 3"}
    probe = ServicesProbe(tuple(busy), False, str(state), busy=busy)
    run = subprocess.run(
        ["sh", "-s"],
        input=compose((probe,)),
        env={"PATH": f"{directory}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    seen = probe.parse(split(run.stdout.splitlines())["services"])
    assert seen["agentfleet-d.service"].running
    assert seen["agentfleet-d.service"].busy
    assert seen["agentfleet-d.service"].stamp == {"/unit": "aaaa"}
    assert not seen["ssh.service"].busy
    assert (seen["ssh.service"].stamp, seen["ssh.service"].told) == (
        None,
        {"/etc/ssh/conf": "cccc"},
    )


def test_a_daemon_of_ours_that_is_also_told_has_two_stamps() -> None:
    """Else each would look like a change of the other's files, and it would restart for ever."""
    said = """\
Id=agentfleet-wall.service
stamps
stamp /var/run/agentfleet/wall.stamp
aaaa  /unit
stamp /var/lib/agentfleet/notified/wall.stamp
bbbb  /rules
busy"""
    probe = ServicesProbe(("agentfleet-wall.service",), False, "/s")
    seen = probe.parse(said.splitlines())["agentfleet-wall.service"]
    assert (seen.stamp, seen.told) == ({"/unit": "aaaa"}, {"/rules": "bbbb"})


def test_what_several_told_a_service_is_seen_together() -> None:
    said = """\
Id=ssh.service
stamps
stamp /s/notified/ssh.stamp
aaaa  /one
stamp /s/notified/ssh+cap.stamp
bbbb  /two
busy"""
    probe = ServicesProbe(("ssh.service",), False, "/s")
    seen = probe.parse(said.splitlines())["ssh.service"]
    assert seen.told == {"/one": "aaaa", "/two": "bbbb"}


def test_no_services_no_look() -> None:
    probe = ServicesProbe((), False, "/s")
    assert probe.parse(probe.script().replace("echo ", "").splitlines()) == {}
