"""Who may ask a host how it is, what is asked, and who looks: nobody who is root."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploys import monitoring
from facts.look import Look
from fleet.daemons import HARDENING
from fleet.expected import expected, inside_script
from fleet.resources import File
from fleet.secrets import _implausible
from fleet.units import units
from fleet.view import HostView
from orchestrator.config import read_config as read_page
from orchestrator.health.inside import read_inside
from orchestrator.health.monitor import read_config
from tests.golden import files as files_of
from tests.golden import views
from tests.unit.conftest import on_linux

BOSS, PI, MAC, WSL = "arch-orchestrator", "rpi1", "imac", "windows-desktop"
OTHERS = [name for name in views() if name != BOSS]


def files(view: HostView) -> dict[str, File]:
    return {file.path: file for file in monitoring.resources(view).files}


def changed(name: str, host: str, **differing: Any) -> HostView:
    """The view of one host, in a fleet in which another one differs."""
    view = views()[name]
    hosts = tuple(
        one.model_copy(update=differing) if one.name == host else one for one in view.fleet.hosts
    )
    fleet = view.fleet.model_copy(update={"hosts": hosts})
    return HostView(fleet, fleet.host(name), view.artifacts)


@pytest.mark.parametrize("name", OTHERS)
def test_the_key_may_ask_one_thing_from_one_host(name: str) -> None:
    view = views()[name]
    found = files(view)
    script = f"{view.settings.libexec_dir}/inside"
    keys = found[f"{view.settings.state_dir}/health/.ssh/authorized_keys"].content.decode()
    (line,) = [one for one in keys.splitlines() if not one.startswith("#")]
    options, _, key = line.partition(" ssh-ed25519 ")
    assert options == (
        f'restrict,from="100.101.0.1,fd7a:115c:a1e0::1",command="exec sudo -n {script}"'
    )
    assert f"ssh-ed25519 {key.split()[0]}" == view.fleet.orchestrator.health_key
    rule = found["/etc/sudoers.d/agentfleet-health"]
    assert rule.content.decode().splitlines()[1:] == [
        f'agentfleet-health ALL=(root) NOPASSWD: {script} ""'
    ]
    assert (rule.mode, rule.check) == ("0440", "visudo -cqf {path}")
    for path, mode in ((script, "0755"), (rule.path, "0440")):
        assert (found[path].owner, found[path].mode) == ("root", mode)
    assert found[script].content == inside_script(view)


def test_until_the_key_is_learned_nobody_is_let_in() -> None:
    unknown = changed(PI, BOSS, health_key=None)
    keys = files(unknown)["/var/lib/agentfleet/health/.ssh/authorized_keys"].content.decode()
    assert [line for line in keys.splitlines() if not line.startswith("#")] == []
    assert f"the key that {BOSS} looks with is not known yet" in monitoring.unavailable(
        unknown, Look()
    )
    assert monitoring.unavailable(views()[PI], Look()) == ""


def test_a_host_that_declines_is_not_looked_into() -> None:
    assert files(changed(PI, BOSS, without=("monitoring",))) == {}
    boss = changed(BOSS, PI, without=("monitoring",))
    said = json.loads(files(boss)["/etc/agentfleet/monitor.json"].content)
    assert PI not in said["hosts"]
    assert PI in {host["name"] for host in said["expected"]["hosts"]}, "seen from outside"


def test_what_the_round_reads_is_what_is_rendered(tmp_path: Path) -> None:
    view = views()[BOSS]
    path = tmp_path / "monitor.json"
    path.write_bytes(files(view)["/etc/agentfleet/monitor.json"].content)
    config = read_config(path)
    assert list(config.others.places) == OTHERS
    assert config.others.places[WSL]["port"] == 2222
    assert [host.name for host in config.expected.hosts] == list(views())
    wanted = expected(view)
    for read, one in zip(config.expected.hosts, wanted.hosts, strict=True):
        assert read.services == one.services
        assert read.programs == one.programs
        assert read.builds == one.builds
    known = files(view)[config.others.known_hosts].content.decode().splitlines()[1:]
    assert [line.split()[0] for line in known] == OTHERS
    page = tmp_path / "orchestrator.json"
    page.write_bytes(
        next(one.content for one in files_of(view) if one.path.endswith("/orchestrator.json"))
    )
    assert (read_page(page).health, read_page(page).health_s) == (config.state, 300)


def test_a_host_whose_address_is_not_known_is_not_asked() -> None:
    pi = views()[PI].host
    nowhere = changed(BOSS, PI, addresses=pi.addresses.model_copy(update={"tailnet": None}))
    said = json.loads(files(nowhere)["/etc/agentfleet/monitor.json"].content)
    assert PI not in said["hosts"]


UNITS = ("health.service", "health-failed.service", "outside.service", "health.timer")


def unit(view: HostView, name: str) -> list[str]:
    path = f"/etc/systemd/system/agentfleet-{name}"
    return files(view)[path].content.decode().splitlines()


def test_every_five_minutes_two_accounts_without_rights_look() -> None:
    view = views()[BOSS]
    want = monitoring.resources(view)
    assert [service.name for service in want.services] == ["agentfleet-health.timer"]
    timer = unit(view, "health.timer")
    assert {"OnCalendar=*:0/5", "Persistent=true", "OnBootSec=2min"} <= {*timer}
    users = {
        "health.service": "agentfleet-monitor",
        "health-failed.service": "agentfleet-monitor",
        "outside.service": "agentfleet-orchestrator",
    }
    for name, user in users.items():
        lines = unit(view, name)
        assert f"User={user}" in lines
        assert "Type=oneshot" in lines
        assert any(line.startswith("TimeoutStartSec=") for line in lines)
        loosened = {"ReadWritePaths"}
        for key, value in HARDENING.items():
            assert key in loosened or f"{key}={value}" in lines, (name, key)
    health = unit(view, "health.service")
    assert "After=network-online.target agentfleet-outside.service" in health
    assert "Wants=network-online.target agentfleet-outside.service" in health
    assert "OnFailure=agentfleet-health-failed.service" in health
    assert "OnFailure" not in "\n".join(unit(view, "health-failed.service"))
    assert "health" in units(view), "fleet logs finds it"


def test_what_the_page_reads_the_page_may_read() -> None:
    view = views()[BOSS]
    directories = {one.path: one for one in monitoring.resources(view).directories}
    seen = directories["/var/lib/agentfleet-monitor/outside"]
    assert (seen.owner, seen.group, seen.mode) == (
        "agentfleet-orchestrator",
        "agentfleet-monitor",
        "0750",
    )
    log = directories["/var/log/agentfleet/health"]
    assert (log.owner, log.mode) == ("agentfleet-monitor", "0750")


def test_addresses_of_alerts_are_credentials_of_two_units() -> None:
    view = views()[BOSS]
    assert "LoadCredential" not in "\n".join(unit(view, "health.service"))
    secrets = {"alert_ntfy": "env:N", "alert_heartbeat": "env:H", "anthropic_api_key": "env:K"}
    fleet = view.fleet.model_copy(update={"secrets": secrets})
    told = HostView(fleet, view.host, view.artifacts)
    wanted = {
        f"LoadCredential={name}:/etc/agentfleet/secrets/{name}"
        for name in ("alert_ntfy", "alert_heartbeat")
    }
    for name in UNITS[:2]:
        assert {line for line in unit(told, name) if line.startswith("LoadC")} == wanted
    assert not any(line.startswith("LoadC") for line in unit(told, "outside.service"))


@pytest.mark.parametrize(
    ("value", "sound"),
    [
        ("https://ntfy.example/topic?auth=x", True),
        ("http://10.0.0.1:8080/hook", True),
        ("ntfy.example/topic", False),
        ("ftp://ntfy.example/topic", False),
        ("https://a b.example/topic", False),
    ],
)
def test_an_address_of_alerts_is_one(value: str, sound: bool) -> None:
    said = _implausible("alert_ntfy", value)
    assert bool(said) is not sound
    assert value not in said
    assert _implausible("anthropic_api_key", value.replace(" ", "")) == ""


@on_linux
@pytest.mark.parametrize("name", [BOSS, PI, MAC, WSL])
def test_the_script_says_all_of_it_wherever_it_runs(name: str, tmp_path: Path) -> None:
    """With a manager that knows nothing: facts in the words that are read, and an end."""
    script = tmp_path / "inside"
    script.write_bytes(inside_script(views()[name]))
    for program in ("systemctl", "launchctl"):
        fake = tmp_path / program
        fake.write_text("#!/bin/sh\nexit 1\n")
        fake.chmod(0o755)
    text = script.read_text().replace("PATH=/usr/local/bin:", f"PATH={tmp_path}:/usr/local/bin:")
    done = subprocess.run(
        ["sh", "-s"], input=text, capture_output=True, text=True, timeout=20, check=False
    )
    seen = read_inside(done.stdout, 0, 2**33)
    assert (done.returncode, seen.fault) == (0, "")
    wanted = next(one for one in expected(views()[BOSS]).hosts if one.name == name)
    assert set(seen.services) == set(wanted.services)
    assert not any(one.running for one in seen.services.values())
    assert seen.programs == dict.fromkeys(wanted.programs.values(), "")
    assert seen.files == {}
