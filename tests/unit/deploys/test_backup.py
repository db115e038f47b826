"""Who can open a backup, where it goes, and the timer that makes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploys import backup
from fleet.model import Operator, Power
from fleet.resources import Resources
from fleet.view import HostView
from orchestrator.backup import read_config
from tests.golden import views

BOSS = "arch-orchestrator"
ALICE = views()[BOSS].fleet.operators[0]


def wanted(**differing: Any) -> Resources:
    view = views()[BOSS]
    fleet = view.fleet.model_copy(update=differing)
    return backup.resources(HostView(fleet, view.host, view.artifacts))


def test_its_configuration_is_what_the_program_reads(tmp_path: Path) -> None:
    by_name = {file.path.rpartition("/")[2]: file.content for file in wanted().files}
    (tmp_path / "backup.json").write_bytes(by_name["backup.json"])
    config = read_config(tmp_path / "backup.json")
    assert (config.host, config.fleet) == ("rpi1", "home")
    assert config.tasks.owner == "agentfleet-orchestrator"
    assert {one.unit for one in config.databases.values()} == {
        "agentfleet-orchestrator.service",
        "agentfleet-gateway.service",
        "agentfleet-quarantine.service",
    }
    assert ALICE.ssh_keys[0].encode() in by_name["backup-recipients"]


def test_a_timer_runs_and_its_service_ends() -> None:
    want = wanted()
    units = {file.path.rpartition(".")[2]: file.content.decode() for file in want.files}
    assert [one.name for one in want.services] == ["agentfleet-backup.timer"]
    assert "Type=oneshot\n" in units["service"]
    for word in ("Restart=", "[Install]"):
        assert word not in units["service"]
    for line in ("OnCalendar=*-*-* 03:40:00", "OnBootSec=10min", "WantedBy=timers.target"):
        assert f"{line}\n" in units["timer"]
    assert "ReadWritePaths=-/var/lib/agentfleet-orchestrator/state" in units["service"]


@pytest.mark.parametrize(
    "keys", [(), ("ecdsa-sha2-nistp256 AAAA x",), ("sk-ssh-ed25519@openssh.com AAAA x",)]
)
def test_without_a_key_that_opens_it_there_is_no_backup(keys: tuple[str, ...]) -> None:
    want = wanted(operators=(Operator(name="bob", ssh_keys=keys),))
    assert want == Resources(remarks=(backup.NO_KEYS,))
    assert wanted(operators=()).files == ()


def test_the_host_is_the_first_that_is_always_there() -> None:
    fleet = views()[BOSS].fleet
    changed = tuple(
        host.model_copy(update={"power": Power.SLEEPS})
        if host.name == "rpi1"
        else host.model_copy(update={"without": ("dispatch",)})
        if host.name == "rpi2"
        else host
        for host in fleet.hosts
    )
    found = fleet.model_copy(update={"hosts": changed})
    assert found.backup_host is not None
    assert found.backup_host.name == "rpi3"
    stated = found.model_copy(update={"backup": "rpi1"}).backup_host
    assert stated is not None
    assert stated.name == "rpi1"
    alone = wanted(hosts=(fleet.orchestrator,))
    assert alone.remarks == (backup.NO_HOST,)


def test_it_is_the_orchestrators_alone() -> None:
    assert backup.resources(views()["rpi1"]) == Resources()
