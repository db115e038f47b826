"""Claude Code on the lab's hosts: the real program, fetched over the tailnet, which runs there."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploys.claude_code import NAME
from fleet.lock import Artifact
from fleet.target import ROOT, Target
from lab.api import Lab
from tests.lab.runs import converge

HOME = f"/opt/agentfleet/{NAME}"
INSTALLS = "windows-desktop"


def _pin(target: Target, host: str) -> Artifact:
    return target.artifacts.get(NAME, target.fleet.host(host).platform)


def _brings(pin: Artifact) -> list[str]:
    return [
        f"artifact {pin.name} {pin.version}: fetch ({pin.size / 1e6:.1f} MB)",
        f"program {pin.name} {pin.version}: install ({pin.size // 1_000_000} MB)",
    ]


@pytest.mark.parametrize("name", ["arch-orchestrator", "rpi1", INSTALLS])
def test_it_runs_in_the_pinned_version(lab: Lab, target: Target, name: str) -> None:
    """As somebody without rights, from anywhere."""
    said = lab.run(name, "cd / && runuser -u nobody -- env HOME=/tmp claude --version").stdout
    assert said.startswith(f"{_pin(target, name).version} "), said


def test_the_download_is_kept_where_it_is_served_and_nowhere_else(lab: Lab, target: Target) -> None:
    find = f"find /var/lib/agentfleet/artifacts /opt/agentfleet -name '{NAME}-*' -type f"
    assert lab.run(INSTALLS, find).stdout == ""
    kept = lab.run("arch-orchestrator", f"{find} | wc -l").stdout
    assert int(kept) == len({_pin(target, host.name).sha256 for host in lab.fleet.hosts})


def test_a_program_that_is_gone_comes_again(lab: Lab, target: Target) -> None:
    lab.run(INSTALLS, f"rm -r {HOME}")
    run = converge("--limit", INSTALLS)
    assert run.code == 0, run.output
    assert run.changes == {INSTALLS: _brings(_pin(target, INSTALLS))}
    assert run.kinds[INSTALLS].get("put", 0) == 0, "from the orchestrator"
    assert converge("--limit", INSTALLS).changes == {}


def test_a_full_disk_is_said_and_healed(lab: Lab, target: Target) -> None:
    """What had come is kept, so that only the rest is to be done."""
    lab.run(INSTALLS, f"rm -r {HOME}")
    lab.limit_disk(INSTALLS, HOME, 100 << 20)
    try:
        run = converge("--limit", INSTALLS)
        assert run.code == 1
        assert f"the disk is full: {NAME} takes 382 MB in {HOME}/" in run.output
        assert lab.run(INSTALLS, f"find {HOME} -type f").stdout == ""
    finally:
        lab.unlimit_disk(INSTALLS, HOME)
    run = converge("--limit", INSTALLS)
    assert run.code == 0, run.output
    assert run.changes == {INSTALLS: _brings(_pin(target, INSTALLS))[1:]}


def test_it_leaves_with_its_capability_and_what_is_a_person_s_stays(
    lab: Lab, tmp_path: Path
) -> None:
    own = "/home/admin/.local/bin/claude"
    lab.run(INSTALLS, f"install -D -m 0755 /bin/true {own}")
    lab.run(INSTALLS, "mkdir -p /etc/claude-code && touch /etc/claude-code/CLAUDE.md")
    copy = tmp_path / "fleet.yaml"
    text = (ROOT / "fleet.yaml").read_text()
    name = f"\n  {INSTALLS}:\n"
    assert name in text
    without = "    without: [claude_code, agentapi, dispatch, backup]\n"
    copy.write_text(text.replace(name, f"{name}{without}"))
    run = converge("--limit", INSTALLS, fleet_file=copy)
    assert run.code == 0, run.output
    assert f"program {HOME}: remove" in run.changes[INSTALLS]
    left = f"ls -d {HOME} /usr/local/bin/claude /etc/claude-code/managed-settings.json"
    assert lab.run(INSTALLS, left, check=False).stdout == ""
    assert lab.run(INSTALLS, f"ls {own} /etc/claude-code/CLAUDE.md").returncode == 0
    assert converge("--limit", INSTALLS, fleet_file=copy).changes == {}
    assert converge("--limit", INSTALLS).code == 0
    assert lab.run(INSTALLS, "test -x /usr/local/bin/claude && ls " + own).returncode == 0
