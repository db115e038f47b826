"""A property list becomes what launchd would do, in the words of hidden systemd units."""

import os
import plistlib
import stat
from pathlib import Path
from typing import Any

import pytest

from lab.standins.macos.darwin.jobs import (
    InvalidJobError,
    check_owner,
    parse_job,
    read_job,
    render_timer,
    render_unit,
    unit_name,
)
from lab.standins.macos.darwin.spawn import job_environment

BASIC: dict[str, Any] = {"Label": "org.example.web", "ProgramArguments": ["/bin/sleep", "9"]}


def unit(**keys: Any) -> list[str]:
    return render_unit(parse_job({**BASIC, **keys}, "/x.plist")).splitlines()


def test_a_whole_unit() -> None:
    lines = unit(KeepAlive=True, UserName="_web", GroupName="_web", Nice=5)
    assert lines == [
        "# launchd job org.example.web, from /x.plist",
        "[Unit]",
        "Description=launchd job org.example.web",
        "StartLimitIntervalSec=0",
        "[Service]",
        "Type=simple",
        'ExecStartPre=+/opt/standin/libexec/launchd-throttle "org.example.web"',
        'ExecStart=/opt/standin/libexec/xpcproxy "org.example.web"',
        'ExecStopPost=+/opt/standin/libexec/launchd-reaped "org.example.web"',
        "Restart=always",
        "RestartSec=100ms",
        "TimeoutStartSec=infinity",
        "TimeoutStopSec=5",
        "KillMode=control-group",
        "LimitNOFILE=256:524288",
        "User=_web",
        "Group=_web",
        "Nice=5",
    ]


@pytest.mark.parametrize(
    ("keep_alive", "lines"),
    [
        (False, ["Restart=no"]),
        (True, ["Restart=always"]),
        ({"SuccessfulExit": True}, ["Restart=no", "RestartForceExitStatus=0"]),
        ({"SuccessfulExit": False}, ["Restart=always", "RestartPreventExitStatus=0"]),
        ({"SuccessfulExit": True, "Crashed": False}, ["Restart=always"]),
    ],
)
def test_keep_alive(keep_alive: Any, lines: list[str]) -> None:
    made = [line for line in unit(KeepAlive=keep_alive) if line.startswith("Restart")]
    wanted = [line for line in made if line != "RestartSec=100ms"]
    assert wanted[: len(lines)] == lines


def test_crashed_restarts_on_crash_signals_only() -> None:
    made = unit(KeepAlive={"Crashed": True})
    assert "Restart=no" in made
    assert any(line.startswith("RestartForceExitStatus=SIGILL ") for line in made)
    assert not any("SIGTERM" in line or "SIGKILL" in line for line in made)


@pytest.mark.parametrize(
    ("keys", "starts"),
    [
        ({}, False),
        ({"RunAtLoad": True}, True),
        ({"KeepAlive": True}, True),
        ({"KeepAlive": {"SuccessfulExit": False}}, True),
        ({"KeepAlive": {"Crashed": True}}, False),
    ],
)
def test_what_starts_at_load(keys: dict[str, Any], starts: bool) -> None:
    assert parse_job({**BASIC, **keys}, "").starts_at_load is starts


def test_limits_timeouts_and_process_groups() -> None:
    made = unit(
        SoftResourceLimits={"NumberOfFiles": 4096},
        HardResourceLimits={"NumberOfFiles": 8192},
        ExitTimeOut=30,
        AbandonProcessGroup=True,
    )
    assert {"LimitNOFILE=4096:8192", "TimeoutStopSec=30", "KillMode=process"} <= set(made)


def test_intervals_become_timers() -> None:
    assert render_timer(parse_job(BASIC, "")) is None
    made = render_timer(parse_job({**BASIC, "StartInterval": 300}, "")) or ""
    assert "OnUnitActiveSec=300" in made.splitlines()
    calendar = {"Hour": 3, "Minute": 5, "Weekday": 0, "Day": 1}
    made = render_timer(parse_job({**BASIC, "StartCalendarInterval": calendar}, "")) or ""
    assert [line for line in made.splitlines() if line.startswith("OnCalendar")] == [
        "OnCalendar=Sun *-*-* 3:5:00",
        "OnCalendar=*-*-1 3:5:00",
    ]


def test_the_environment_is_launchds_and_nothing_else() -> None:
    job = parse_job({**BASIC, "EnvironmentVariables": {"HOME": "/var/empty"}}, "")
    assert job_environment(job) == {
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "XPC_SERVICE_NAME": "org.example.web",
        "XPC_FLAGS": "0x0",
        "HOME": "/var/empty",
    }


@pytest.mark.parametrize(
    "plist",
    [
        [],
        {"ProgramArguments": ["/bin/true"]},
        {"Label": "a/b", "Program": "/bin/true"},
        {"Label": "x"},
        {"Label": "x", "ProgramArguments": "/bin/true"},
        {"Label": "x", "ProgramArguments": ["/bin/true", 5]},
        {"Label": "x", "Program": "/bin/true", "KeepAlive": "yes"},
        {"Label": "x", "Program": "/bin/true", "Nice": True},
        {"Label": "x", "Program": "/bin/true", "EnvironmentVariables": {"A": 1}},
    ],
)
def test_refused_property_lists(plist: Any) -> None:
    with pytest.raises(InvalidJobError):
        parse_job(plist, "")


@pytest.mark.parametrize("content", [b"", b"<plist>", b"\x00\x01", b"<plist><dict><key>A</key>"])
def test_files_that_are_no_property_list(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.plist"
    file.write_bytes(content)
    with pytest.raises(InvalidJobError):
        read_job(file)


def test_program_and_arguments_may_differ(tmp_path: Path) -> None:
    file = tmp_path / "x.plist"
    file.write_bytes(plistlib.dumps({**BASIC, "Program": "/bin/echo"}))
    job = read_job(file)
    assert (job.program, job.arguments[0]) == ("/bin/echo", "/bin/sleep")


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "accepted"),
    [
        (0, 0, 0o644, True),
        (0, 0, 0o600, True),
        (0, 0, 0o664, False),
        (0, 0, 0o646, False),
        (501, 0, 0o644, False),
        (0, 20, 0o644, False),
    ],
)
def test_owner_and_mode(uid: int, gid: int, mode: int, accepted: bool) -> None:
    status = os.stat_result((stat.S_IFREG | mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))
    if accepted:
        check_owner(status)
    else:
        with pytest.raises(InvalidJobError):
            check_owner(status)


def test_uncovered_keys_are_named() -> None:
    job = parse_job({**BASIC, "Sockets": {}, "KeepAlive": {"PathState": {"/x": True}}}, "")
    assert job.uncovered == ["Sockets", "KeepAlive.PathState"]


def test_unit_names_are_escaped() -> None:
    assert unit_name("org.example-a_b") == "launchd-org.example-a_b.service"
    assert unit_name("a b@c") == r"launchd-a\x20b\x40c.service"
