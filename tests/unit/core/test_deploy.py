"""deploy.py under pyinfra's own command line, with hosts that only pretend."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fleet.kinds import Arch
from fleet.lock import LockedHost, lock_path, read_fleet_lock, write_fleet_lock
from fleet.target import ROOT
from tests.golden import FLEET
from tests.unit.clusters import CLANG, environment

KEY = "a-key-that-lets-hosts-in"


def pyinfra(
    *options: str, inventory: str = "deploy_inventory", **environment: str
) -> subprocess.CompletedProcess[str]:
    """A run; the auth key is there unless it is said otherwise."""
    said = {"FLEET_FILE": str(FLEET), "FLEET_TARGET": "real", "TS_AUTH_KEY": KEY}
    program = Path(sys.executable).with_name("pyinfra")
    return subprocess.run(
        [program, f"tests/unit/core/{inventory}.py", "deploy.py", *options],
        cwd=ROOT,
        env={**os.environ, **said, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@cache
def dry_run(**environment: str) -> tuple[list[Mapping[str, Any]], str]:
    """The plan, and what was said on the way."""
    run = pyinfra("--dry", "--json", **environment)
    (plan,) = [line for line in run.stdout.splitlines() if line.startswith('{"plan"')]
    return json.loads(plan)["plan"], run.stdout + run.stderr


def steps(host: str, **environment: str) -> list[str]:
    plan, _ = dry_run(**environment)
    return [op["name"] for op in plan if f"@fake/{host}" in op["hosts_with_change"]]


def test_every_operation_is_one_of_its_own() -> None:
    """pyinfra tells operations by line numbers: equal ones would be merged, or never run."""
    plan, _ = dry_run()
    assert len({op["op_hash"] for op in plan}) == len(plan)
    assert len({op["name"] for op in plan}) == len(plan), "and none appears twice"


def test_operations_stand_and_are_carried_out_as_pyinfra_itself_finds() -> None:
    """fleet/shortcuts.py finds the same, only sooner."""
    run = pyinfra("--dry", inventory="shortcuts_inventory")
    said = run.stdout + run.stderr
    assert said.count("the same place") > 80
    assert said.count("the same arguments") > 80
    assert "not as pyinfra has it" not in said


def test_each_capability_comes_whole_and_in_its_order() -> None:
    assert steps("arch-orchestrator") == [
        "base: packages",
        "base: files",
        "base: settings",
        "base: services",
        "tailscale: packages",
        "tailscale: services",
        "tailscale: tailnet",
        "keys: packages",
        "keys: users",
        "keys: files",
        "firewall: packages",
        "firewall: users",
        "firewall: guard",
        "firewall: files",
        "firewall: services",
        "operators: guard",
        "operators: files",
        "secrets: files",
        "artifacts: packages",
        "artifacts: users",
        "artifacts: artifacts",
        "artifacts: files",
        "artifacts: services",
        "gateway: packages",
        "gateway: users",
        "gateway: files",
        "gateway: services",
        "budget: files",
        "claude_code: programs",
        "claude_code: files",
        "icecream: masked units",
        "icecream: packages",
        "icecream: users",
        "icecream: files",
        "icecream: builds",
        "icecream: services",
        "artifacts: new artifacts",
        "artifacts: new artifacts noted",
        "quarantine: packages",
        "quarantine: users",
        "quarantine: files",
        "quarantine: services",
        "orchestrator: packages",
        "orchestrator: users",
        "orchestrator: files",
        "orchestrator: services",
        "monitoring: packages",
        "monitoring: users",
        "monitoring: files",
        "monitoring: services",
    ]
    orchestrators = (
        *("keys: ", "secrets: ", "artifacts: ", "gateway: ", "quarantine: "),
        *("orchestrator: ", "monitoring: packages", "monitoring: services"),
    )
    built = ("icecream: builds", "icecream: users")
    mine = steps("arch-orchestrator")
    others = [step for step in mine if not step.startswith((*orchestrators, *built))]
    others.insert(others.index("tailscale: packages"), "sources: files")
    # The orchestrator has it from what it serves.
    others.insert(others.index("claude_code: programs"), "claude_code: artifacts")
    assert steps("rpi1") == others


def test_a_host_that_is_another_machine_fails_alone() -> None:
    _, said = dry_run()
    assert steps("rpi2") == []
    assert "fleet.yaml says arch: aarch64, the host says x86_64" in said
    assert "Traceback" not in said


def test_a_host_whose_deploy_raises_fails_alone() -> None:
    _, said = dry_run()
    assert steps("rpi3") == []
    assert "base: ZeroDivisionError: a fault in a deploy module" in said


def test_what_would_change_is_said_once() -> None:
    _, said = dry_run()
    assert len(re.findall(r"\[@fake/rpi1\] +base: package git: install with apt", said)) == 1
    assert "hostname: localhost → rpi1" in said


def test_without_the_auth_key_exactly_the_host_that_must_log_in_fails() -> None:
    """Before anything is changed there; a host that is up needs none."""
    told = {"TS_AUTH_KEY": "", "JOINED": "arch-orchestrator=1"}
    assert steps("rpi1", **told) == []
    _, said = dry_run(**told)
    assert re.search(r"\[@fake/rpi1\] +base: .*secrets.tailscale_auth_key: rpi1 needs this", said)
    assert "export TS_AUTH_KEY" in said
    known = [step for step in steps("arch-orchestrator") if step != "tailscale: tailnet"]
    assert steps("arch-orchestrator", **told) == known


def test_a_capability_alone_asks_for_no_auth_key() -> None:
    """`fleet revoke` must not wait for one."""
    assert steps("rpi1", TS_AUTH_KEY="", FLEET_ONLY="operators") == [
        "operators: guard",
        "operators: files",
    ]


FLEET_OF_TWO = """\
version: 1
name: two
ssh: {user: admin}
budgets: {orchestrator: 1, pi: 1}
hosts:
  arch-orchestrator: {role: orchestrator, os: arch, arch: x86_64, cores: 8, addresses: {lan: boss}}
  rpi1: {role: pi, os: raspios, arch: aarch64, cores: 4, addresses: {lan: berry}}
"""
JOINED = "arch-orchestrator=1 rpi1=5"


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A fleet of which nothing is learned yet."""
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET_OF_TWO)
    return path


def learned(two: Path) -> dict[str, str | None]:
    lock = read_fleet_lock(lock_path(two))
    return {name: lock.tailnet_ipv4(name) for name in lock.hosts}


def test_a_run_learns_the_addresses_and_goes_by_them(two: Path) -> None:
    run = pyinfra("-y", FLEET_FILE=str(two), JOINED=JOINED)
    said = run.stdout + run.stderr
    assert "its address in the tailnet is 100.101.0.5, noted in fleet.lock.yaml" in said
    assert learned(two) == {"arch-orchestrator": "100.101.0.1", "rpi1": "100.101.0.5"}
    assert "icecream skipped: no interface holds the tailnet address 100.101.0.5" in said
    again = pyinfra("-y", FLEET_FILE=str(two), JOINED=JOINED)
    assert "its address in" not in again.stdout + again.stderr


def test_a_dry_run_learns_nothing(two: Path) -> None:
    run = pyinfra("--dry", FLEET_FILE=str(two), JOINED=JOINED)
    assert "its address in the tailnet is 100.101.0.5" in run.stdout + run.stderr
    assert learned(two) == {}


def test_a_host_with_another_address_than_fleet_yaml_says_fails_alone(two: Path) -> None:
    two.write_text(FLEET_OF_TWO.replace("{lan: berry}", "{lan: berry, tailnet: 100.101.0.9}"))
    run = pyinfra("-y", FLEET_FILE=str(two), JOINED=JOINED)
    said = run.stdout + run.stderr
    assert learned(two) == {"arch-orchestrator": "100.101.0.1"}
    assert "hosts.rpi1.addresses.tailnet: 100.101.0.9 is not the address that was learned" in said
    assert "Traceback" not in said
    assert re.search(r"\[@fake/arch-orchestrator\] +icecream skipped", said)
    assert not re.search(r"\[@fake/rpi1\] +icecream skipped", said), "it failed before that"


def test_a_persons_application_is_left_alone_and_its_address_learned() -> None:
    told = {"TS_AUTH_KEY": "", "JOINED": "imac=33"}
    _, said = dry_run(**told)
    assert "tailscale skipped: /Applications/Tailscale.app/it is here" in said
    assert not any(step.startswith("tailscale") for step in steps("imac", **told))
    assert "learn what it is" in steps("imac", **told)
    assert re.search(r"\[@fake/imac\] +learn: its address in the tailnet is 100.101.0.33", said)


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """The golden fleet with a compiler in common, of which nobody has told."""
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET.read_text() + "toolchain: {llvm: 16}\n")
    lock_path(path).write_bytes(lock_path(FLEET).read_bytes())
    return path


CLUSTER = ("llvm: ", "environments: ", "toolchains: ", "compilers: ", "artifacts: new")


def in_cluster(host: str, fleet: Path) -> list[str]:
    return [step for step in steps(host, FLEET_FILE=str(fleet)) if step.startswith(CLUSTER)]


def test_the_compiler_comes_before_what_is_packed_of_it_and_who_uses_that(cluster: Path) -> None:
    assert in_cluster("rpi1", cluster) == [
        "llvm: packages",
        "environments: packages",
        "environments: files",
        "environments: builds",
        "toolchains: files",
        "compilers: files",
        "compilers: services",
    ]
    no_builder = ["llvm: packages", "toolchains: files", "compilers: files"]
    assert in_cluster("imac", cluster) == no_builder
    _, said = dry_run(FLEET_FILE=str(cluster))
    words = r"\[@fake/imac\] +toolchains: it compiles at home: it has no clang 16"
    assert len(re.findall(words, said)) == 1
    assert "clang for aarch64 16 unknown 1: pack, and give it to every client" in said
    assert "Traceback" not in said


def test_what_was_packed_goes_to_every_client_and_to_who_serves_it(cluster: Path) -> None:
    """The builder of the other platform has told; the one of this has yet to pack."""
    lock = read_fleet_lock(lock_path(cluster))
    for name in ("rpi1", "imac", "arch-orchestrator"):
        more = {"environments": (environment(Arch.AARCH64),)} if name == "rpi1" else {}
        told = lock.hosts.get(name, LockedHost()).model_copy(update={"compiler": CLANG, **more})
        lock = lock.with_host(name, told)
    write_fleet_lock(lock_path(cluster), lock)
    for host in ("imac", "arch-orchestrator"):
        assert "toolchains: artifacts" in in_cluster(host, cluster)
    assert "artifacts: new artifacts" in in_cluster("arch-orchestrator", cluster)
    _, said = dry_run(FLEET_FILE=str(cluster))
    fetched = rf"environment-aarch64 {re.escape(CLANG.split()[0])}: fetch \(60.0 MB\)"
    assert re.search(rf"\[@fake/imac\] +toolchains: artifact {fetched}", said)
    lacking = "no job goes to x86_64 workers: arch-orchestrator has yet to pack it"
    assert re.search(rf"\[@fake/imac\] +toolchains: {lacking}", said)
