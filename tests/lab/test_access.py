"""Who may log in, what holds secrets, and how downloads come: on real hosts."""

from __future__ import annotations

import base64
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploys.icecream import SOURCE
from fleet.lock import read_artifacts_lock
from fleet.ssh import as_root, route
from fleet.target import ROOT, Target, artifacts_file
from lab.api import Lab
from lab.overlay import OWN_SECRETS
from operations.artifacts import SEAL
from tests.lab.runs import SHORT_WINDOW_S, Run, converge, fleet
from tests.lab.secrecy import holding, watch_processes

CANARY = "sk-ant-canary-Zq7Lw3Xv9Tn2Rk5"
PIN = read_artifacts_lock(artifacts_file()).get(SOURCE)
OPERATORS = """
operators:
  alice: {login: alice@example.com, ssh_keys: [KEY one]}
  bob: {login: bob@example.com, ssh_keys: [YEK two]}
"""


def _key(letter: str) -> str:
    fields = (b"ssh-ed25519", letter.encode() * 32)
    blob = b"".join(len(one).to_bytes(4, "big") + one for one in fields)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A fleet file that a test may change."""
    path = tmp_path / "fleet.yaml"
    path.write_text((ROOT / "fleet.yaml").read_text())
    return path


@pytest.fixture
def named(file: Path) -> Path:
    """A fleet file that names a second operator."""
    more = OPERATORS.replace("KEY", _key("a")).replace("YEK", _key("b"))
    file.write_text(file.read_text() + more)
    return file


@pytest.fixture
def two_operators(lab: Lab, named: Path) -> Iterator[Path]:
    """A fleet with a second operator, taken back afterwards."""
    run = converge(fleet_file=named)
    assert run.code == 0, run.output
    yield named
    assert converge().code == 0


def lets_in(lab: Lab, host: str, key: Path) -> bool:
    """Whether the key opens the host; its own answer, not a lack of one."""
    target = lab.fleet.host(host)
    done = subprocess.run(
        ["ssh", "-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
         "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={lab.place.known_hosts}",
         "-o", "StrictHostKeyChecking=yes", "-p", str(target.ssh.port),
         f"{target.ssh.user}@{target.addresses.lan}", "true"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0 or "Permission denied" in done.stderr, done.stderr
    return done.returncode == 0


def test_hosts_take_the_operators_keys_and_no_others(lab: Lab) -> None:
    (own,) = lab.fleet.operators
    for host in lab.fleet.hosts:
        home = "/Users" if host.is_mac else "/home"
        there = lab.run(host.name, f"cat {home}/admin/.ssh/authorized_keys").stdout
        lines = [line for line in there.splitlines() if not line.startswith("#")]
        assert lines == list(own.ssh_keys), host.name


def test_a_foreign_key_is_removed(lab: Lab) -> None:
    keys = "/home/admin/.ssh/authorized_keys"
    lab.run("rpi2", f"echo '{_key('z')} stranger' >>{keys}")
    run = converge("--limit", "rpi2")
    assert run.changes == {
        "rpi2": [
            "guard: armed, the host takes the change back in 90 s unless confirmed",
            f"file {keys}: content",
            "guard: confirm by a fresh connection",
        ]
    }
    assert "stranger" not in lab.run("rpi2", f"cat {keys}").stdout
    assert lab.run("rpi2", "ls /etc/systemd/system | grep undo", check=False).stdout == ""
    assert converge("--limit", "rpi2").changes == {}


def test_who_is_revoked_is_refused_everywhere(lab: Lab, two_operators: Path) -> None:
    """One host is off meanwhile: it stays pending, and the next run does it."""
    names = [host.name for host in lab.fleet.hosts]
    bob = lab.place.operator_key("bob")
    for name in names:
        assert lets_in(lab, name, bob), name
    lab.poweroff("windows-laptop")
    try:
        said = fleet("revoke", "bob", "--yes", fleet_file=two_operators)
    finally:
        lab.poweron("windows-laptop")
    assert said.returncode == 3, said.stdout + said.stderr
    assert "windows-laptop" in said.stdout
    assert "pending" in said.stdout
    assert said.stdout.count("removed") == len(names) - 1
    assert "bob@example.com" in said.stdout
    assert "bob" not in two_operators.read_text()
    assert lets_in(lab, "windows-laptop", bob), "nobody reached it yet"
    assert set(converge(fleet_file=two_operators).changes) == {"windows-laptop"}
    for name in names:
        assert not lets_in(lab, name, bob), name
        assert lets_in(lab, name, lab.place.key), name


def test_revoking_nobody_and_everybody_is_refused(lab: Lab, named: Path) -> None:
    before = named.read_text()
    said = fleet("revoke", "bobb", "--yes", fleet_file=named)
    assert said.returncode == 1
    assert 'did you mean "bob"' in said.stderr
    said = fleet("revoke", "bob", fleet_file=named)
    assert said.returncode == 64
    assert "--yes" in said.stderr
    assert named.read_text() == before


LOCKED_OUT = ["rpi1", "windows-desktop", "macbook1"]


def test_keys_that_lock_everybody_out_come_back(lab: Lab, target: Target) -> None:
    limits = [word for name in LOCKED_OUT for word in ("--limit", name)]
    run = converge(*limits, deploy="tests/lab/deploy_locks_out.py")
    assert run.code == 1, run.output
    assert run.output.count("takes the change back by itself") == len(LOCKED_OUT)
    deadline = time.monotonic() + SHORT_WINDOW_S + 60
    for name in LOCKED_OUT:
        way = route(target.fleet.host(name), target)
        while as_root(way, "true", 20).code:
            assert time.monotonic() < deadline, f"{name} is lost"
            time.sleep(2)
    time.sleep(5)  # the undo tidies up after it has put the keys back
    assert converge(*limits).changes == {}
    for name in LOCKED_OUT:
        left = "ls /etc/systemd/system /Library/LaunchDaemons 2>/dev/null | grep undo"
        assert lab.run(name, left, check=False).stdout == "", name


def test_no_host_opens_another(lab: Lab) -> None:
    """Root on one host, agents included, has no key that another one takes."""
    for here in ("rpi1", "arch-orchestrator"):
        for there in lab.fleet.hosts:
            if there.name == here:
                continue
            for user in ("root", "admin"):
                done = lab.run(
                    here,
                    "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o ConnectTimeout=10 "
                    f"-o UserKnownHostsFile=/dev/null -p {there.ssh.port} "
                    f"{user}@{there.addresses.lan} true",
                    check=False,
                )
                assert done.returncode == 255, f"{here} → {user}@{there.name}"
                assert "Permission denied" in done.stderr, done.stderr


def test_a_secret_is_in_exactly_the_file_meant(
    lab: Lab, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OWN_SECRETS, "yes")
    source = tmp_path / "source"
    source.write_text(CANARY + "\n")
    source.chmod(0o600)
    file.write_text(f"{file.read_text()}\nsecrets: {{anthropic_api_key: 'file:{source}'}}\n")
    stop, seen = threading.Event(), list[str]()
    watcher = threading.Thread(target=watch_processes, args=(CANARY, stop, seen))
    watcher.start()
    try:
        dry = converge("-vvv", "--diff", fleet_file=file, dry=True)
        run = converge("-vvv", "--diff", fleet_file=file)
    finally:
        stop.set()
        watcher.join()
    assert run.code == 0, run.output
    path = "/etc/agentfleet/secrets/anthropic_api_key"
    assert run.changes["arch-orchestrator"][-2:] == _taken(path)
    for one in (dry, run):
        assert CANARY not in one.output + str(one.changes)
    assert seen == []
    time.sleep(1)  # journald writes late
    assert holding(lab, CANARY) == {f"arch-orchestrator:{path}"}
    state = lab.run("arch-orchestrator", f"stat -c '%a %U' {path}; cat {path}").stdout
    assert state == f"400 root\n{CANARY}\n"
    assert converge(fleet_file=file).changes == {}
    _rotates(lab, file, source, path)
    monkeypatch.delenv(OWN_SECRETS)
    assert converge().code == 0
    assert lab.run("arch-orchestrator", f"cat {path}").stdout == f"{lab.anthropic.key}\n"


def _taken(path: str) -> list[str]:
    """What a new key comes to: its file, and that the gateway reads it."""
    return [
        f"file {path}: content",
        f"service agentfleet-gateway.service: restart: {path} changed",
    ]


def _rotates(lab: Lab, file: Path, source: Path, path: str) -> None:
    source.write_text(f"{CANARY}-rotated\n")
    run = converge(fleet_file=file)
    assert run.changes == {"arch-orchestrator": _taken(path)}
    assert lab.run("arch-orchestrator", f"cat {path}").stdout == f"{CANARY}-rotated\n"


def test_a_secret_that_is_missing_stops_its_host_before_anything_changes(
    lab: Lab, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OWN_SECRETS, "yes")
    text = file.read_text().replace("cores: ", "max_jobs: 1\n    cores: ")
    file.write_text(f"{text}\nsecrets: {{anthropic_api_key: 'env:AGENTFLEET_NO_SUCH'}}\n")
    run = converge("--limit", "arch-orchestrator", "--limit", "rpi1", fleet_file=file)
    assert run.code == 1
    assert "arch-orchestrator needs this secret" in run.output
    assert "export AGENTFLEET_NO_SUCH=" in run.output
    assert "Traceback" not in run.output
    assert set(run.changes) == {"rpi1"}, "the others carry on"
    monkeypatch.delenv(OWN_SECRETS)
    assert converge("--limit", "rpi1").code == 0


PULLS = "windows-desktop"
SERVED = f"/var/lib/agentfleet/artifacts/{PIN.sha256}/{SOURCE}-{PIN.version}"


def _fetch(*hosts: str) -> Run:
    limits = [word for name in hosts for word in ("--limit", name)]
    return converge(*limits, deploy="tests/lab/deploy_artifact.py")


def _has(lab: Lab, host: str) -> bool:
    state_dir = "/var/db" if lab.fleet.host(host).is_mac else "/var/lib"
    path = f"{state_dir}/agentfleet/artifacts/{PIN.sha256}/{SOURCE}-{PIN.version}"
    done = lab.run(host, f"sha256sum {path} || shasum -a 256 {path}", check=False)
    assert not done.stdout or done.stdout.startswith(PIN.sha256), "never wrong bytes of that name"
    return bool(done.stdout)


def _drop(lab: Lab, host: str) -> None:
    lab.run(host, f"rm -rf /var/lib/agentfleet/artifacts/{PIN.sha256}")


def test_hosts_pull_from_the_orchestrator(lab: Lab) -> None:
    run = _fetch(PULLS, "rpi3", "macbook2")
    assert run.code == 0, run.output
    for name in (PULLS, "rpi3", "macbook2"):
        assert _has(lab, name)
        assert run.kinds[name].get("put", 0) == 0, "nothing went through this machine"
    assert _fetch(PULLS).changes == {}


def test_a_server_that_is_down_means_delivery_from_here(lab: Lab) -> None:
    _drop(lab, PULLS)
    lab.run("arch-orchestrator", "systemctl stop agentfleet-artifacts")
    try:
        run = _fetch(PULLS)
    finally:
        lab.run("arch-orchestrator", "systemctl start agentfleet-artifacts")
    assert run.code == 0, run.output
    assert _has(lab, PULLS)
    assert run.kinds[PULLS]["put"] == 1


def test_wrong_bytes_stop_the_host_and_name_both_digests(lab: Lab) -> None:
    _drop(lab, PULLS)
    # As a bad disk would do it: neither the size nor the time of change tells.
    rotten = (
        f"head -c {PIN.size} /dev/zero >{SERVED}; touch -d @{SEAL} {SERVED}; sha256sum {SERVED}"
    )
    wrong = lab.run("arch-orchestrator", rotten).stdout.split()[0]
    try:
        run = _fetch(PULLS)
    finally:
        lab.run("arch-orchestrator", f"rm {SERVED}")
    assert run.code == 1, run.output
    assert wrong in run.output
    assert PIN.sha256 in run.output
    assert not _has(lab, PULLS)
    assert converge("--limit", "arch-orchestrator").code == 0
    assert _fetch(PULLS).code == 0
    assert _has(lab, PULLS)


@pytest.mark.parametrize(
    "damage",
    [
        f"truncate -s 1000 {SERVED}",
        f"head -c {PIN.size} /dev/zero >{SERVED}",
        f"rm {SERVED}; mkfifo {SERVED}",
        f"rm -r $(dirname {SERVED})",
    ],
    ids=["truncated", "overwritten", "replaced", "gone"],
)
def test_what_somebody_did_to_what_is_served_is_mended(lab: Lab, damage: str) -> None:
    lab.run("arch-orchestrator", damage)
    run = converge("--limit", "arch-orchestrator")
    assert run.code == 0, run.output
    assert run.changes == {
        "arch-orchestrator": [f"artifact {SOURCE} {PIN.version}: fetch (0.2 MB)"]
    }
    assert _has(lab, "arch-orchestrator")
    assert converge("--limit", "arch-orchestrator").changes == {}
