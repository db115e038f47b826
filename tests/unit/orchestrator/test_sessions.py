"""Sessions begun over SSH, and the command line that does it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator import sessions
from orchestrator.sessions import AgentError, Agents
from tests.unit.conftest import on_linux
from tests.unit.orchestrator import nursery
from tests.unit.orchestrator.conftest import Running, call

pytestmark = on_linux
SSH = """#!/bin/sh
printf '%s\\n' "$@" >{path}/arguments
cat >{path}/said
[ ! -e {path}/refuse ] || { echo 'agentctl: it is off' >&2; exit 1; }
"""
AGENTS = {
    "ssh": {"key": "/k/id", "known_hosts": "/k/known", "user": "agentfleet-ctl"},
    "agents": {"rpi1": {"address": "100.64.0.4", "port": 2222, "url": "http://100.64.0.4:3284"}},
}


class Commands:
    """The command line, with an ssh that notes what it is told."""

    def __init__(self, gateway: Running) -> None:
        self.gateway, self.path = gateway, gateway.path
        (self.path / "bin").mkdir()
        ssh = self.path / "bin" / "ssh"
        ssh.write_text(SSH.replace("{path}", str(self.path)))
        ssh.chmod(0o755)
        (self.path / "agents.json").write_text(json.dumps(AGENTS))

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        verb, *rest = arguments
        environment = {"PATH": f"{self.path}/bin:/usr/bin:/bin"}
        return nursery.run(
            verb, "--config", str(self.gateway.config), *rest, environment=environment
        )

    def token(self) -> str:
        """What ssh was told last."""
        return (self.path / "said").read_text().split()[1]


@pytest.fixture
def run(start: Callable[..., Running]) -> Commands:
    return Commands(start())


def test_a_session_begins_with_a_token_on_standard_input(run: Commands) -> None:
    done = run("session", "new", "rpi1")
    assert (done.returncode, done.stderr) == (0, "")
    session, token = (run.path / "said").read_text().splitlines()
    assert json.loads(done.stdout) == {"begun": {"rpi1": session}, "failed": {}}
    arguments = (run.path / "arguments").read_text().splitlines()
    assert arguments[-1] == "new-session"
    assert arguments[-2] == "agentfleet-ctl@100.64.0.4"
    assert arguments[:4] == ["-F", "/dev/null", "-i", "/k/id"]
    for needed in ("StrictHostKeyChecking=yes", "HostKeyAlias=rpi1", "UserKnownHostsFile=/k/known"):
        assert needed in arguments
    assert token not in str(arguments) + done.stdout
    assert run.gateway.host()["session"] == session
    assert call(run.gateway.url, token).status_code == 200


def test_one_that_does_not_begin_leaves_the_old_one(run: Commands) -> None:
    run("session", "new", "rpi1")
    old = run.token()
    (run.path / "refuse").touch()
    done = run("session", "new", "rpi1")
    assert done.returncode == 1
    assert done.stderr == "rpi1: agentctl: it is off\n"
    assert call(run.gateway.url, run.token()).status_code == 403, "the new one"
    assert call(run.gateway.url, old).status_code == 200


def test_the_other_hosts_begin_all_the_same(run: Commands) -> None:
    done = run("session", "new", "nobody", "rpi1")
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert list(said["begun"]) == ["rpi1"]
    assert said["failed"] == {"nobody": "no host is called nobody"}


def test_budget_and_kill(run: Commands) -> None:
    run("session", "new", "rpi1")
    assert json.loads(run("budget", "--days", "2").stdout)["hosts"][0]["host"] == "rpi1"
    assert json.loads(run("kill", "rpi1").stdout)["revoked"][0]["host"] == "rpi1"
    assert json.loads(run("kill", "--all").stdout) == {"revoked": []}
    assert call(run.gateway.url, run.token()).status_code == 403


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["kill"], 64, "name hosts, or say --all"),
        (["kill", "--all", "rpi1"], 64, "name hosts, or say --all"),
        (["kill", "nobody"], 1, "no host is called nobody"),
        (["session", "old", "rpi1"], 64, "invalid choice"),
        (["budget", "--days", "x"], 64, "invalid int value"),
    ],
)
def test_wrong_usage(run: Commands, arguments: list[str], code: int, words: str) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("agents", [None, "", "{}", '{"ssh": 1}'])
def test_without_knowing_agents_nothing_begins(run: Commands, agents: str | None) -> None:
    file = run.path / "agents.json"
    file.unlink() if agents is None else file.write_text(agents)
    done = run("session", "new", "rpi1")
    assert done.returncode == 1
    assert "agents.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_gateway_that_is_down_is_said(run: Commands) -> None:
    run.gateway.kill()
    done = run("budget")
    assert done.returncode == 1
    assert "the gateway does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def talking(path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Agents:
    """Agents whose ssh is a script."""
    ssh = path / "ssh"
    ssh.write_text(f"#!/bin/sh\n{script}\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
    (path / "agents.json").write_text(json.dumps(AGENTS))
    return Agents.read(path / "agents.json")


def test_bytes_go_there_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'for last; do :; done; printf "%s:" "$last"; cat'
    agents = talking(tmp_path, monkeypatch, script)
    code = bytes(range(256)) * 4000
    assert agents.exchange("rpi1", "take-code a b", code, 20) == b"take-code a b:" + code


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exec cat /dev/zero", "says more than"),
        ("exec cat /dev/zero >&2", "did not answer within 2 s"),
        ("exec sleep 60", "did not answer within 2 s"),
        ("echo no >&2; exit 1", "rpi1: no"),
        ("exit 3", "rpi1: exit code 3"),
    ],
)
def test_a_host_that_says_anything_ends(
    script: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = talking(tmp_path, monkeypatch, script)
    monkeypatch.setattr(sessions, "MOST_BYTES", 100_000)
    with pytest.raises(AgentError, match=words):
        agents.exchange("rpi1", "patch a b", b"x" * 200_000, 2)


def test_the_configuration_comes_from_its_deploy_module(tmp_path: Path) -> None:
    """What deploys/gateway.py renders is what the gateway reads."""
    from fleet.plan import wanted
    from orchestrator.gateway.config import read_config
    from orchestrator.sessions import Agents
    from tests.golden import views

    view = views()["arch-orchestrator"]
    for name in ("gateway", "dispatch"):
        for file in wanted(view)[name].files:
            if file.path.endswith(".json"):
                (tmp_path / Path(file.path).name).write_bytes(file.content)
    config: Any = read_config(tmp_path / "gateway.json")
    assert set(config.hosts) == set(views())
    assert config.places["100.101.0.5"] == "rpi1"
    agents = Agents.read(tmp_path / "agents.json")
    assert set(agents.places) == {h.name for h in view.fleet.hosts if h.is_agent}
