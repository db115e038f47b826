"""What the page's service gets to know of the fleet, and as whom it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploys import orchestrator
from facts.look import Look
from fleet.model import Addresses, Operator, Role
from fleet.resources import Resources
from fleet.view import HostView
from orchestrator.config import Config, read_config
from tests.golden import views

BOSS, PI, DESKTOP = "arch-orchestrator", "rpi1", "windows-desktop"


def wanted(**differing: Any) -> Resources:
    view = views()[BOSS]
    return orchestrator.resources(
        HostView(view.fleet.model_copy(update=differing), view.host, view.artifacts)
    )


def config(path: Path, **differing: Any) -> Config:
    (file,) = [file for file in wanted(**differing).files if file.path.endswith(".json")]
    (path / "orchestrator.json").write_bytes(file.content)
    return read_config(path / "orchestrator.json")


def unit(want: Resources) -> str:
    (file,) = [file for file in want.files if file.path.endswith(".service")]
    return file.content.decode()


def test_its_configuration_is_what_the_program_reads(tmp_path: Path) -> None:
    found = config(tmp_path)
    assert (found.listen, found.port) == ("100.101.0.1", 8080)
    assert {BOSS, "100.101.0.1", "localhost", "127.0.0.1"} <= set(found.names)
    assert dict(found.operators) == {"alice@example.com": "alice"}
    assert [one.name for one in found.agents] == list(views()), "those that are off, too"
    assert found.off == {n for n, view in views().items() if not view.host.is_agent}
    pi = found.agent(PI)
    assert pi is not None
    assert (pi.url, pi.root, pi.may_sleep) == ("http://100.101.0.5:3284", True, False)
    boss = found.agent(BOSS)
    assert boss is not None
    assert not boss.root
    assert found.places["fd7a:115c:a1e0::5"] == PI
    assert PI in found.workers
    assert "imac" not in found.workers
    assert (found.scheduler, found.console) == ("100.101.0.1", 8766)
    assert (found.planner, found.plan_cap) == (BOSS, 2_000_000)


def test_a_scheduler_that_moves_is_asked_where_it_is(tmp_path: Path) -> None:
    assert config(tmp_path, scheduler="rpi2").scheduler == "100.101.0.6"


def test_it_writes_where_its_tasks_are_and_nowhere_else() -> None:
    want = wanted()
    text = unit(want)
    for line in (
        "User=agentfleet-orchestrator",
        "RuntimeDirectory=agentfleet-orchestrator",
        "RuntimeDirectoryMode=0750",
        "BindsTo=agentfleet-wall.service",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "ReadWritePaths=/var/lib/agentfleet-orchestrator/state",
        "PrivateDevices=yes",
    ):
        assert f"{line}\n" in text
    assert "MemoryDenyWriteExecute" not in text, "Claude Code would not start"
    modes = {one.path: (one.mode, one.owner) for one in want.directories}
    assert modes[orchestrator.state_dir(views()[BOSS])] == ("0700", "agentfleet-orchestrator")


def test_the_page_runs_though_nobody_pays_agents(tmp_path: Path) -> None:
    """And is not restarted by every run for a file that no run brings."""
    want = wanted(secrets={})
    (running,) = want.services
    assert "/etc/agentfleet/agents.json" not in running.inputs
    assert "/etc/agentfleet/agents.json" in wanted().services[0].inputs
    assert config(tmp_path, secrets={}).agents


@pytest.mark.parametrize(
    ("people", "words"),
    [
        ((), "opens to nobody"),
        ((Operator(name="bob", ssh_keys=()),), "opens to nobody"),
        (
            (
                Operator(name="alice", login="alice@example.com", ssh_keys=()),
                Operator(name="bob", ssh_keys=()),
            ),
            "bob: no `login`",
        ),
    ],
)
def test_who_cannot_come_in_is_said(people: tuple[Operator, ...], words: str) -> None:
    (remark,) = wanted(operators=people).remarks
    assert words in remark
    assert wanted().remarks == ()


def test_it_is_the_orchestrators_and_waits_for_the_tailnet() -> None:
    assert orchestrator.resources(views()[PI]).files == ()
    view = views()[BOSS]
    assert orchestrator.unavailable(view, Look()) == ""
    assert view.host.role is Role.ORCHESTRATOR
    lost = view.host.model_copy(update={"addresses": Addresses(lan="10.0.0.1")})
    hosts = tuple(lost if host == view.host else host for host in view.fleet.hosts)
    fleet = view.fleet.model_copy(update={"hosts": hosts})
    said = orchestrator.unavailable(HostView(fleet, lost, view.artifacts), Look())
    assert f"the tailnet address of {BOSS} is not known yet" in said
