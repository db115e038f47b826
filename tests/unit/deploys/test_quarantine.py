"""What the quarantine gets to know of the fleet, and as whom it runs."""

from __future__ import annotations

from pathlib import Path

from deploys import quarantine
from facts.look import Look
from fleet.model import Addresses
from fleet.view import HostView
from orchestrator.quarantine.config import read_config
from tests.golden import views

BOSS, PI, MAC = "arch-orchestrator", "rpi1", "imac"


def test_its_configuration_is_what_the_program_reads(tmp_path: Path) -> None:
    """The scheduler moves, and it follows; a host without icecream is no worker."""
    view = views()[BOSS]
    hosts = tuple(
        host.model_copy(update={"without": ("icecream",)}) if host.name == "rpi3" else host
        for host in view.fleet.hosts
    )
    fleet = view.fleet.model_copy(update={"scheduler": "rpi2", "hosts": hosts})
    want = quarantine.resources(HostView(fleet, view.host, view.artifacts))
    (file,) = [file for file in want.files if file.path.endswith("quarantine.json")]
    path = tmp_path / "quarantine.json"
    path.write_bytes(file.content)
    config = read_config(path)
    assert (config.listen, config.port) == ("100.101.0.1", 8083)
    assert (config.scheduler, config.console) == ("100.101.0.6", 8766)
    assert config.workers[PI] == (PI, "100.101.0.5")
    assert {MAC, "rpi3"}.isdisjoint(config.workers)
    assert {config.places["100.101.0.3"], config.places["fd7a:115c:a1e0::3"]} == {MAC}
    assert config.worker("fd7a:115c:a1e0::5") == PI
    assert config.worker("100.101.0.3") == ""


def test_it_runs_as_nobody_else_and_shares_its_socket_with_one_account() -> None:
    want = quarantine.resources(views()[BOSS])
    units = {file.path: file.content.decode() for file in want.files if "systemd" in file.path}
    (unit,) = units.values()
    for line in (
        "User=agentfleet-quarantine",
        "Group=agentfleet-orchestrator",
        "RuntimeDirectoryMode=0750",
        "BindsTo=agentfleet-wall.service",
        "ProtectSystem=strict",
        "ReadWritePaths=/var/lib/agentfleet-quarantine",
        "SystemCallFilter=@system-service",
    ):
        assert f"{line}\n" in unit
    (directory,) = want.directories
    assert (directory.path, directory.mode) == (quarantine.STATE, "0700")
    assert directory.owner == "agentfleet-quarantine"


def test_it_is_the_orchestrators_and_waits_for_the_tailnet() -> None:
    assert quarantine.resources(views()[PI]).files == ()
    view = views()[BOSS]
    assert quarantine.unavailable(view, Look()) == ""
    assert quarantine.url(views()[PI]) == "http://100.101.0.1:8083/reports"
    lost = view.host.model_copy(update={"addresses": Addresses(lan="10.0.0.1")})
    hosts = tuple(lost if host == view.host else host for host in view.fleet.hosts)
    fleet = view.fleet.model_copy(update={"hosts": hosts})
    said = quarantine.unavailable(HostView(fleet, lost, view.artifacts), Look())
    assert f"the tailnet address of {BOSS} is not known yet" in said
