"""The start scripts, really run against a systemctl and a launchctl that play their parts."""

from __future__ import annotations

import pytest

from fleet.resources import File, Resources, RunningService
from operations import services
from tests.unit.conftest import FakeHost, FakeProgram, RealHost

UNIT = File("/etc/unit", b"x", "t")


def start(host: RealHost, *, mac: bool) -> tuple[int, str]:
    name = "org.agentfleet.d" if mac else "agentfleet-d.service"
    fake = FakeHost(mac=mac).has(UNIT).service(name, enabled=True)
    service = RunningService(name, inputs=(UNIT.path,))
    change = services.plan((service,), fake.context("cap", Resources(files=(UNIT,))), fake.look)
    assert change
    run = host.run(change)
    return run.returncode, run.stderr


@pytest.fixture
def acted(real_host: RealHost, program: FakeProgram) -> RealHost:
    """A host where time is short and every call of the manager is noted in `calls`."""
    program("sleep", "exit 0")
    directory = program("journalctl", "echo 'no such library'")
    real_host.path = f"{directory}:{real_host.path}"
    return real_host


def calls(host: RealHost) -> list[str]:
    return (host.root / "calls").read_text().splitlines()


def systemctl(host: RealHost, program: FakeProgram, main_pid: str, active: bool) -> None:
    program(
        "systemctl",
        f"""echo "$*" >>'{host.root}/calls'
case "$*" in
    *MainPID*) {main_pid} ;;
    *is-active*) exit {0 if active else 3} ;;
esac""",
    )


def test_a_unit_that_stays_up(acted: RealHost, program: FakeProgram) -> None:
    systemctl(acted, program, "echo 7", active=True)
    assert start(acted, mac=False) == (0, "")
    assert calls(acted)[:4] == [
        "daemon-reload",
        "reset-failed agentfleet-d.service",
        "-q enable agentfleet-d.service",
        "start agentfleet-d.service",
    ]


@pytest.mark.parametrize(("pid", "active"), [("echo 0", False), ("date +%N", True)])
def test_a_unit_that_does_not(
    pid: str, active: bool, acted: RealHost, program: FakeProgram
) -> None:
    """Dead, or another process each time one looks: that is a daemon that dies at once."""
    systemctl(acted, program, pid, active)
    code, said = start(acted, mac=False)
    assert code == 1
    assert "no such library" in said
    assert "agentfleet: agentfleet-d.service does not stay up" in said


LAUNCHD = """echo "$*" >>'{root}/calls'
here='{root}'
case "$1" in
    bootout) echo 3 >"$here/leaving" ;;
    print)
        if [ -f "$here/leaving" ]; then # gone only when asked a third time
            n=$(($(cat "$here/leaving") - 1))
            echo $n >"$here/leaving"
            [ $n -gt 0 ] || rm "$here/leaving"
            exit 0
        fi
        [ -f "$here/loaded" ] || exit 113
        printf 'd = {{\\n\\tstate = running\\n\\tpid = 7\\n}}\\n' ;;
    bootstrap)
        if [ -f "$here/leaving" ]; then echo 'Bootstrap failed: 5' >&2; exit 5; fi
        if ! [ -f "$here/tried" ]; then : >"$here/tried"; exit 5; fi
        : >"$here/loaded" ;;
esac"""


def test_a_job_is_awaited_out_and_retried_in(acted: RealHost, program: FakeProgram) -> None:
    """bootout returns too early, and the bootstrap after it may fail once."""
    program("launchctl", LAUNCHD.format(root=acted.root))
    assert start(acted, mac=True) == (0, "")
    verbs = [line.split()[0] for line in calls(acted)]
    assert verbs[0] == "bootout"
    assert verbs.index("enable") > 3, "polled until it was gone"
    assert verbs.count("bootstrap") == 2


def test_a_job_that_dies(acted: RealHost, program: FakeProgram) -> None:
    log = acted.root / "d.log"
    log.write_text("no such library\n")
    words = f"printf '\\tstate = exited\\n\\tstderr path = {log}\\n'"
    entered = acted.root / "entered"
    program(
        "launchctl",
        f"""case "$1" in
    bootout) exit 3 ;;
    bootstrap) : >'{entered}' ;;
    print) [ -e '{entered}' ] || exit 113; {words} ;;
esac""",
    )
    code, said = start(acted, mac=True)
    assert code == 1
    assert "\tstate = exited\nno such library\n" in said
    assert "agentfleet: org.agentfleet.d does not stay up" in said
