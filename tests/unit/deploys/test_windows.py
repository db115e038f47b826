"""What a host in WSL gets besides what every Debian gets, and what follows from its network."""

from __future__ import annotations

import pytest

from deploys import icecream
from deploys.windows import BINFMT
from facts.look import Look
from fleet.doors import doors
from fleet.learned import NETWORKING, Learned, hear
from fleet.plan import wanted
from fleet.resources import Resources, WindowsSide
from fleet.toolchains import is_worker, why_no_jobs
from fleet.windows import windows_side
from tests.golden import views
from tests.unit.deploys.test_resources import text, view

HOSTS = ("windows-desktop", "windows-laptop")
UNIT = "agentfleet-iceccd.service"


def side(name: str = HOSTS[0], **differing: object) -> WindowsSide:
    return windows_side(view(name, **differing))


def test_only_hosts_in_wsl_have_a_windows() -> None:
    having = {name for name, one in views().items() if wanted(one)["windows"] != Resources()}
    assert having == set(HOSTS)


def test_the_kernel_is_told_how_to_start_windows_programs() -> None:
    (file,) = wanted(view(HOSTS[0]))["windows"].files
    assert file.path == BINFMT
    assert ":WSLInterop:M::MZ::/init:PF" in file.content.decode().splitlines()


def test_windows_lets_in_what_the_doors_say() -> None:
    here = view(HOSTS[0])
    public, tailnet = side().rules
    assert public.sources == ()
    assert tailnet.sources == ("100.64.0.0/10", "fd7a:115c:a1e0::/48")
    assert {*public.ports, *tailnet.ports} == {door.port for door in doors(here.fleet, here.host)}
    assert public.ports == (here.host.ssh.port,)
    assert here.settings.icecc_port in tailnet.ports


def test_claude_code_for_the_person_is_the_fleets() -> None:
    pinned = view(HOSTS[0]).artifacts.artifacts["claude-code"].version
    assert [one.version for one in side().programs if one.name == "claude"] == [pinned]
    without = side(without=("claude_code",)).programs
    assert "claude" not in [one.name for one in without]


def test_the_person_has_the_tools_that_were_asked_for() -> None:
    assert {one.choco for one in side().programs} >= {"nodejs-lts", "git", "ripgrep", "ccache"}


# networking


def test_networking_is_learned() -> None:
    host = view(HOSTS[0]).host
    assert NETWORKING in [one.name for one in wanted(view(HOSTS[0]))["base"].readings]
    assert NETWORKING not in [one.name for one in wanted(view("rpi1"))["base"].readings]
    assert hear(host, Look(values={NETWORKING: "nat"}))[1].networking == "nat"
    for nonsense in ("", "$(reboot)", "Error: 0x1"):
        assert hear(host, Look(values={NETWORKING: nonsense}))[1] == Learned(
            **{**vars(hear(host, Look())[0])}
        )


@pytest.mark.parametrize("mode", [None, "mirrored"])
def test_a_mirrored_host_takes_jobs(mode: str | None) -> None:
    here = view(HOSTS[0], networking=mode)
    assert is_worker(here.host)
    assert "--no-remote" not in text(wanted(here)["icecream"], UNIT)
    assert wanted(here)["icecream"].remarks == ()


@pytest.mark.parametrize("mode", ["nat", "virtioproxy", "none"])
def test_behind_nat_it_sends_jobs_and_takes_none(mode: str) -> None:
    """Nobody can connect to it, and a worker that cannot be connected to gets no jobs anyway."""
    here = view(HOSTS[0], networking=mode)
    assert not is_worker(here.host)
    want = wanted(here)["icecream"]
    unit = text(want, UNIT)
    assert " --no-remote" in unit
    assert "-i {interface}" not in unit
    assert "with-interface" not in unit, "no interface will ever hold its tailnet address"
    assert want.remarks == (why_no_jobs(here.host),)
    assert f"networking is {mode} here" in want.remarks[0]
    assert icecream.unavailable(here, Look()) == ""


# the workstations: what a person has there is what every host has


@pytest.mark.parametrize("name", ["macbook2", *HOSTS])
def test_a_workstation_is_composed_of_what_there_is(name: str) -> None:
    here = view(name)
    assert {"icecream", "toolchains", "compilers", "claude_code", "budget"} <= set(
        here.capabilities
    )
    assert not here.host.is_agent
    assert here.host.budget == 5
    want = wanted(here)
    (claude,) = [file for file in want["claude_code"].files if file.path.endswith("/bin/claude")]
    assert (claude.mode, claude.owner) == ("0755", "root"), "for everybody on that host"
    (agent,) = want["agentapi"].services
    assert agent.off


@pytest.mark.parametrize("name", ["macbook2", *HOSTS])
def test_agent_mode_is_a_line_in_the_file(name: str) -> None:
    plain = view(name).host.agent
    here = view(name, agent=plain.model_copy(update={"enabled": True}))
    (agent,) = wanted(here)["agentapi"].services
    assert not agent.off
    assert here.host.budget == 5
