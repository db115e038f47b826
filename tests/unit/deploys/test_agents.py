"""What agents, their gateway and the way to them come to on a host, whatever fleet.yaml says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deploys import agentapi, dispatch, gateway, keys
from facts.look import Look
from fleet.lock import ArtifactsLock
from fleet.model import Agent, Sudo
from fleet.resources import RestartPolicy
from fleet.view import HostView
from tests.golden import views

BOSS, PI, MAC, PERSONS = "arch-orchestrator", "rpi1", "imac", "windows-desktop"


def with_agent(name: str, **agent: Any) -> HostView:
    """The host with another agent, in a fleet that knows it."""
    view = views()[name]
    host = view.host.model_copy(update={"agent": Agent(**agent)})
    hosts = tuple(host if one.name == name else one for one in view.fleet.hosts)
    return HostView(view.fleet.model_copy(update={"hosts": hosts}), host, view.artifacts)


def unit(view: HostView) -> str:
    files = {file.path: file.content.decode() for file in agentapi.resources(view).files}
    return files["/etc/systemd/system/agentfleet-agentapi.service"]


def sudoers(view: HostView) -> str:
    paths = {file.path: file for file in agentapi.resources(view).files}
    file = paths.get("/etc/sudoers.d/agentfleet-agent")
    return file.content.decode().splitlines()[-1] if file else ""


@pytest.mark.parametrize(
    ("sudo", "line"),
    [
        (Sudo.NONE, ""),
        (Sudo.FULL, "claude-agent ALL=(ALL) NOPASSWD: ALL"),
        (("/bin/a b", "/bin/c"), "claude-agent ALL=(ALL) NOPASSWD: /bin/a b, /bin/c"),
    ],
)
def test_what_an_agent_may_do_as_root(sudo: Any, line: str) -> None:
    view = with_agent(PI, enabled=True, sudo=sudo)
    assert sudoers(view) == line
    assert ("NoNewPrivileges=yes" in unit(view)) is (line == "")
    assert ("# Not hardened: " in unit(view)) is (line != "")


def test_on_workstations_it_is_there_and_off_until_one_key_turns_it_on() -> None:
    (service,) = agentapi.resources(views()[PERSONS]).services
    assert service.off
    assert dispatch.resources(views()[PERSONS]).session is None
    view = with_agent(PERSONS, enabled=True, sudo=Sudo.NONE)
    (service,) = agentapi.resources(view).services
    assert not service.off
    assert dispatch.resources(view).session is not None
    assert [file.path for file in dispatch.resources(view).files][-1].endswith("authorized_keys")


def test_it_restarts_while_it_is_idle_alone() -> None:
    (service,) = agentapi.resources(views()[PI]).services
    assert service.policy is RestartPolicy.WHEN_IDLE
    assert "http://127.0.0.1:3284/status" in service.busy
    assert "/usr/local/bin/claude" in service.inputs


def test_callers_call_the_host_by_its_names_alone() -> None:
    found = unit(views()[PI]).partition("--allowed-hosts ")[2].split()[0].split(",")
    assert found == [
        *("localhost", "127.0.0.1", "[::1]", "rpi1", "rpi1.example.ts.net"),
        *("100.101.0.5", "[fd7a:115c:a1e0::5]"),
    ]


def test_memory_is_limited_by_role_and_counted_on_a_pi() -> None:
    assert "MemoryMax=75%\nOOMPolicy=continue\n" in unit(views()[PI])
    assert "MemoryMax=50%\n" in unit(views()[BOSS])
    (setting,) = agentapi.resources(views()[PI]).settings
    assert (setting.want, setting.later) == ("on", "on after a reboot")
    assert agentapi.resources(views()[BOSS]).settings == ()


def test_a_mac_needs_jq_for_an_agent_alone() -> None:
    needed = {name: agentapi.resources(views()[name]).packages[0] for name in (MAC, "macbook2")}
    assert needed[MAC].required
    assert not needed["macbook2"].required


def test_without_a_pin_or_a_key_nothing_comes_and_it_is_said() -> None:
    view = views()[PI]
    unpinned = HostView(view.fleet, view.host, ArtifactsLock())
    assert agentapi.resources(unpinned).services == ()
    assert "fleet pin agentapi" in agentapi.unavailable(unpinned, Look())
    unpaid = HostView(view.fleet.model_copy(update={"secrets": {}}), view.host, view.artifacts)
    assert "no secret to pay agents with" in agentapi.unavailable(unpaid, Look())
    boss = HostView(unpaid.fleet, views()[BOSS].host, view.artifacts)
    assert "no secret to pay agents with" in gateway.unavailable(boss, Look())
    assert agentapi.unavailable(view, Look()) == ""


# the gateway


def test_the_gateway_knows_caps_and_places_and_no_secret() -> None:
    want = gateway.resources(views()[BOSS])
    (config,) = [file for file in want.files if file.path.endswith("gateway.json")]
    said = json.loads(config.content)
    assert (said["listen"], said["port"]) == ("100.101.0.1", 8082)
    assert said["upstream"] == "https://api.anthropic.com"
    assert said["hosts"]["rpi1"]["session"] == 5
    assert said["hosts"]["rpi1"]["addresses"] == ["100.101.0.5", "fd7a:115c:a1e0::5"]
    assert set(said["hosts"]) == set(views())
    assert not any(file.secret for file in want.files)


def test_the_key_is_a_credential_of_the_gateway_alone() -> None:
    files = {file.path: file.content for file in gateway.resources(views()[BOSS]).files}
    text = files["/etc/systemd/system/agentfleet-gateway.service"].decode()
    key = "/etc/agentfleet/secrets/anthropic_api_key"
    assert f"LoadCredential=anthropic_api_key:{key}\n" in text
    (service,) = gateway.resources(views()[BOSS]).services
    assert key in service.inputs, "a new key is taken by a restart"
    assert gateway.resources(views()[PI]).files == ()


# the way to agents


def test_the_orchestrator_knows_its_agents_and_their_host_keys() -> None:
    files = {
        f.path.rpartition("/")[2]: f.content.decode()
        for f in dispatch.resources(views()[BOSS]).files
    }
    agents = json.loads(files["agents.json"])["agents"]
    assert set(agents) == {h.name for h in views()[BOSS].fleet.hosts if h.is_agent}
    for line in files["known_hosts"].splitlines()[1:]:
        name, kind, _ = line.split()
        assert name in agents
        assert kind == "ssh-ed25519"


def test_its_key_may_call_one_program_from_one_host() -> None:
    files = {f.path: f for f in dispatch.resources(views()[PI]).files}
    (line,) = (
        files["/var/lib/agentfleet/control/.ssh/authorized_keys"].content.decode().splitlines()[1:]
    )
    assert line.startswith('restrict,from="100.101.0.1,fd7a:115c:a1e0::1",command="exec sudo -n ')
    assert '/agentctl \\"$SSH_ORIGINAL_COMMAND\\"" ssh-ed25519 ' in line
    rule = files["/etc/sudoers.d/agentfleet-control"].content.decode().splitlines()[-1]
    assert rule == "agentfleet-ctl ALL=(root) NOPASSWD: /usr/local/libexec/agentfleet/agentctl"


def test_until_the_key_is_learned_nobody_is_let_in() -> None:
    view = views()[PI]
    boss = view.fleet.orchestrator.model_copy(update={"dispatch_key": None})
    hosts = tuple(boss if one.name == boss.name else one for one in view.fleet.hosts)
    unknown = HostView(view.fleet.model_copy(update={"hosts": hosts}), view.host, view.artifacts)
    files = {f.path: f for f in dispatch.resources(unknown).files}
    content = files["/var/lib/agentfleet/control/.ssh/authorized_keys"].content.decode()
    assert [line for line in content.splitlines() if not line.startswith("#")] == []
    assert "is not known yet" in dispatch.unavailable(unknown, Look())


def test_the_keys_are_made_on_the_orchestrator_and_learned() -> None:
    want = keys.resources(views()[BOSS])
    assert [reading.name for reading in want.readings] == ["dispatch key", "health key"]
    assert all("ssh-keygen" in setting.write for setting in want.settings)
    assert len({setting.name for setting in want.settings}) == 2
    assert keys.resources(views()[PI]).settings == ()
