"""What is pinned in a lab, and that nothing of it has to be fetched."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from fleet.cache import kept, obtain
from fleet.digest import digest_of
from fleet.lock import Pin, read_artifacts_lock
from fleet.target import artifacts_file
from lab import pins
from lab.paths import STANDINS

MAC = "darwin-x86_64"


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFLEET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(pins.ANOTHER, raising=False)
    monkeypatch.delenv(pins.EMULATED, raising=False)


def pin(name: str, platform: str) -> Pin:
    found = pins.artifacts().artifacts[name].platforms[platform]
    assert found
    return found


def test_everything_else_is_pinned_as_in_the_repository() -> None:
    real, played = read_artifacts_lock(artifacts_file()), pins.artifacts()
    differing = {
        (name, platform)
        for name, one in played.artifacts.items()
        for platform, its in one.platforms.items()
        if name not in real.artifacts or real.artifacts[name].platforms.get(platform) != its
    }
    ours = {("agentapi", platform) for platform in pins.PLATFORMS}
    assert differing == ours | {("claude-code", MAC), ("claude-code", pins.PI)}
    assert set(real.artifacts) <= set(played.artifacts)
    assert played.artifacts["claude-code"].version == real.artifacts["claude-code"].version


def test_a_pi_has_the_real_one_natively_or_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    real = read_artifacts_lock(artifacts_file()).artifacts["claude-code"].platforms
    assert pin("claude-code", pins.PI) == real[pins.PC]
    monkeypatch.setenv(pins.EMULATED, "1")
    assert pin("claude-code", pins.PI) == real[pins.PI]


@pytest.mark.parametrize(
    ("name", "platform"), [*(("agentapi", one) for one in pins.PLATFORMS), ("claude-code", MAC)]
)
def test_a_stand_in_is_obtained_without_a_network(name: str, platform: str) -> None:
    artifact = pins.artifacts().get(name, platform)
    file = obtain(artifact)
    assert (digest_of(file), file.stat().st_size) == (artifact.sha256, artifact.size)
    assert all(len(one.name) == len(artifact.sha256) for one in file.parent.iterdir())


def test_a_damaged_file_of_the_cache_is_mended() -> None:
    its = pin("claude-code", MAC)
    kept(its.sha256).write_bytes(b"what a full disk left")
    pins.artifacts()
    assert digest_of(kept(its.sha256)) == its.sha256


def test_the_same_sources_make_the_same_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pin("claude-code", MAC)
    monkeypatch.setattr("time.time", lambda: 1.0)
    assert pin("claude-code", MAC) == before
    monkeypatch.setenv(pins.ANOTHER, "the next version")
    assert pin("claude-code", MAC).sha256 != before.sha256


@pytest.mark.parametrize("note", ["", "the next version"])
def test_the_macs_claude_is_packed_as_the_real_one_is(note: str, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(pins.claude_archive(note))) as archive:
        (member,) = archive.getmembers()
        assert (member.name, member.mode) == ("package/claude", 0o755)
        stream = archive.extractfile(member)
        assert stream
        content = stream.read()
    assert content.startswith((STANDINS / "claude" / "claude").read_bytes())
    program = tmp_path / "claude"
    program.write_bytes(content)
    program.chmod(0o755)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith(
        read_artifacts_lock(artifacts_file()).artifacts["claude-code"].version
    )


def test_agentapi_is_a_program(tmp_path: Path) -> None:
    file = kept(pin("agentapi", "linux-x86_64").sha256)
    program = tmp_path / "agentapi"
    program.write_bytes(file.read_bytes())
    program.chmod(0o755)
    if not os.access("/usr/bin/python3", os.X_OK):
        pytest.skip("it looks for /usr/bin/python3")
    said = subprocess.run(
        [program, "--help"], capture_output=True, text=True, check=False, timeout=20
    )
    assert "server" in said.stdout + said.stderr
