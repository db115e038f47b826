"""What the capabilities want of a host, by what the model says of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploys.artifacts import SERVING
from deploys.icecream import NO_ADDRESS, unavailable
from facts.look import Look
from facts.system import System
from fleet.model import Addresses, Host, Os
from fleet.plan import view_of, wanted
from fleet.resources import Resources
from fleet.target import Target
from fleet.view import HostView
from tests.golden import target, views


def view(name: str, **differing: object) -> HostView:
    """A host of the golden fleet, changed as said."""
    found = target()
    hosts = tuple(
        host.model_copy(update=differing) if host.name == name else host
        for host in found.fleet.hosts
    )
    fleet = found.fleet.model_copy(update={"hosts": hosts})
    return view_of(Target("real", fleet, None, found.artifacts, found.root), name)


def text(resources: Resources, name: str) -> str:
    (file,) = [file for file in resources.files if Path(file.path).name == name]
    return file.content.decode()


def downloads(name: str) -> set[str]:
    """What a host's own capabilities fetch, by digest."""
    own = [want for which, want in wanted(view(name)).items() if which not in SERVING]
    builds = (build.artifact for want in own for build in want.builds if build.artifact)
    programs = (program.artifact for want in own for program in want.programs)
    plain = (one for want in own for one in want.artifacts)
    return {one.sha256 for one in (*builds, *programs, *plain)}


def test_a_relay_has_what_its_neighbours_fetch_and_no_more() -> None:
    relayed = wanted(view("rpi3"))["relay"].artifacts
    assert {one.sha256 for one in relayed} == downloads("imac") | downloads("windows-desktop")
    assert all(one.path.startswith("/var/lib/agentfleet/artifacts/") for one in relayed), (
        "a Mac's are at this host's paths too"
    )
    own = downloads("rpi3") - {one.sha256 for one in relayed}
    assert own, "what it alone has is not kept twice"


def test_a_relay_serves_as_the_orchestrator_does() -> None:
    here, there = wanted(view("rpi3"))["relay"], wanted(view("arch-orchestrator"))["artifacts"]
    unit = "agentfleet-artifacts.service"
    assert text(here, unit).replace("100.101.0.7", "100.101.0.1") == text(there, unit)
    assert (here.services, here.users) == (there.services, there.users)


def test_others_relay_nothing() -> None:
    serving = [name for name, one in views().items() if wanted(one)["relay"] != Resources()]
    assert serving == ["rpi3"]


UNIT = "agentfleet-iceccd.service"


def icecream(name: str, **differing: object) -> Resources:
    return wanted(view(name, **differing))["icecream"]


def test_max_jobs_changes_one_file_and_the_service_that_has_it_as_input() -> None:
    before, after = icecream("rpi1"), icecream("rpi1", max_jobs=2)
    changed = {f.path for f, g in zip(before.files, after.files, strict=True) if f != g}
    assert changed == {f"/etc/systemd/system/{UNIT}"}
    assert [s.name for s in after.services if changed & set(s.inputs)] == [UNIT]
    assert " -m 2 " in text(after, UNIT)
    assert wanted(view("rpi1"))["base"] == wanted(view("rpi1", max_jobs=2))["base"]


def test_and_nothing_on_other_hosts() -> None:
    found = target()
    hosts = tuple(
        host.model_copy(update={"max_jobs": 2}) if host.name == "rpi1" else host
        for host in found.fleet.hosts
    )
    fleet = found.fleet.model_copy(update={"hosts": hosts})
    changed = Target("real", fleet, None, found.artifacts, found.root)
    for name, before in views().items():
        assert (wanted(view_of(changed, name)) == wanted(before)) is (name != "rpi1")


def test_windows_keeps_its_cores() -> None:
    for name in ("windows-desktop", "windows-laptop"):
        host = view(name).host
        assert host.max_jobs == host.cores - 2


def _workers() -> Iterator[tuple[Host, Resources]]:
    for found in views().values():
        yield found.host, wanted(found)["icecream"]


def test_every_worker_knows_the_scheduler_by_its_tailnet_address() -> None:
    for _, want in _workers():
        arguments = "\n".join(f.content.decode() for f in want.files).replace("</string>", "")
        assert "100.101.0.1:8765" in arguments
        assert "127.0.0.1" not in arguments


def test_the_scheduler_runs_once_and_keeps_its_clients() -> None:
    having = [h.name for h, w in _workers() if any("scheduler" in s.name for s in w.services)]
    assert having == ["arch-orchestrator"]
    unit = text(icecream("arch-orchestrator"), "agentfleet-icecc-scheduler.service")
    assert "\nExecStart=/usr/local/libexec/agentfleet/with-interface 100.101.0.1 icecc-s" in unit
    assert " -r\n" in unit


def test_macs_send_jobs_and_take_none_and_say_why() -> None:
    for host, want in _workers():
        body = "\n".join(file.content.decode() for file in want.files)
        assert ("--no-remote" in body) is host.is_mac
        assert ("dyld cache" in body) is host.is_mac


def test_packaged_units_are_masked_on_linux() -> None:
    for host, want in _workers():
        assert bool(want.masked) is host.is_linux


def test_icecream_is_built_where_no_package_has_it() -> None:
    for host, want in _workers():
        assert bool(want.builds) is (host.os in (Os.ARCH, Os.MACOS))


@pytest.mark.parametrize(
    ("addresses", "awaited"),
    [
        (Addresses(tailnet="100.101.9.9"), "100.101.9.9"),
        (Addresses(lan="10.0.0.1"), NO_ADDRESS),
    ],
)
def test_the_interface_is_a_fact_not_a_name(addresses: Addresses, awaited: str) -> None:
    unit = text(icecream("rpi1", addresses=addresses), UNIT)
    assert f"/with-interface {awaited} iceccd " in unit
    assert "-i {interface}" in unit


def test_without_a_capability() -> None:
    everything = view("rpi1").capabilities
    without = view("rpi1", without=("icecream",))
    assert list(wanted(without)) == [name for name in everything if name != "icecream"]
    assert dict(wanted(view("rpi1", without=everything))) == {}


def test_the_name_of_a_host_is_set_but_not_inside_wsl() -> None:
    for name, found in views().items():
        wants = {setting.want for setting in wanted(found)["base"].settings}
        assert (name in wants) is not name.startswith("windows")


def test_inputs_of_a_service_are_looked_at() -> None:
    """A service whose inputs nobody brings or builds would start anew for ever."""
    for found in views().values():
        for want in wanted(found).values():
            for service in want.services:
                if not service.notify and service.inputs:
                    assert service.name.startswith(("agentfleet-", "org.agentfleet."))


TAILNET = "100.101.9.9"
JOINED = Addresses(tailnet=TAILNET)


@pytest.mark.parametrize(
    ("addresses", "held", "reason"),
    [
        (JOINED, TAILNET, ""),
        (JOINED, "10.0.0.1", f"no interface holds the tailnet address {TAILNET}"),
        (Addresses(lan="10.0.0.1"), TAILNET, "the tailnet address of rpi1 is not known"),
    ],
)
def test_a_worker_outside_the_tailnet_would_only_wait(
    addresses: Addresses, held: str, reason: str
) -> None:
    look = Look(system=System(addresses=frozenset({held})))
    said = unavailable(view("rpi1", addresses=addresses), look)
    assert said.startswith(reason) if reason else said == ""


def test_nobody_works_for_a_scheduler_without_an_address() -> None:
    lost = view("arch-orchestrator", addresses=Addresses(lan="10.0.0.1"))
    look = Look(system=System(addresses=frozenset({"10.0.0.1"})))
    assert "the tailnet address of arch-orchestrator is not known" in unavailable(lost, look)


def test_root_login_is_left_as_its_owner_has_it() -> None:
    """The first line that sets a value wins, and ours would come before a stricter one."""
    files = {file.path: file for file in wanted(view("rpi1"))["base"].files}
    drop_in = files["/etc/ssh/sshd_config.d/10-agentfleet.conf"].content.decode()
    assert "PermitRootLogin" not in drop_in


@pytest.mark.parametrize(
    ("sshd", "state"),
    [
        ("echo passwordauthentication no", "refused"),
        ("echo kbdinteractiveauthentication yes", "accepted"),
        ("false", "unknown"),
    ],
)
def test_an_sshd_that_does_not_answer_refuses_nothing(sshd: str, state: str) -> None:
    (setting,) = [s for s in wanted(view("rpi1"))["base"].settings if s.name == "ssh passwords"]
    asked = setting.read.replace("/usr/sbin/sshd", sshd)
    run = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=False)
    assert run.stdout.split() == [state]
