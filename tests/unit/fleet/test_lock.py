"""The lock files: what is read from them, what is refused, and that writing is deterministic."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from fleet.kinds import Arch
from fleet.lock import (
    ArtifactsLock,
    FleetLock,
    LockedHost,
    LockedTailnet,
    lock_path,
    read_artifacts_lock,
    read_fleet_lock,
    write_artifacts_lock,
    write_fleet_lock,
)
from fleet.problems import FleetError
from tests.unit.clusters import CLANG, PATCHED, environment

ROOT = Path(__file__).resolve().parents[3]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA8h9vbYdd4ee3l5vNmkGH3MD3QG6H9mrbLQJ3U4V3mP"
BOSS = LockedHost(
    tailnet=LockedTailnet(ipv4="100.64.0.1", ipv6="fd7a:115c:a1e0::1", name="boss.tail1234.ts.net"),
    host_keys=(KEY,),
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "fleet.lock.yaml"


def refusal(path: Path, text: str) -> list[str]:
    path.write_text(text)
    read = read_fleet_lock if path.name.startswith("fleet") else read_artifacts_lock
    with pytest.raises(FleetError) as caught:
        read(path)
    return [f"{p.line} {p.key}: {p.fault}; {p.fix}" for p in caught.value.problems]


def test_an_absent_lock_knows_nothing(path: Path) -> None:
    lock = read_fleet_lock(path)
    assert lock == FleetLock()
    assert lock.host_keys("boss") == ()
    assert lock.tailnet_ipv4("boss") is None


def test_what_is_written_is_read_again(path: Path) -> None:
    lock = FleetLock().with_host("boss", BOSS)
    write_fleet_lock(path, lock)
    assert read_fleet_lock(path) == lock
    assert read_fleet_lock(path).host_keys("boss") == (KEY,)
    assert read_fleet_lock(path).tailnet_ipv4("boss") == "100.64.0.1"


def test_the_same_content_is_the_same_bytes(path: Path) -> None:
    empty = LockedHost()
    write_fleet_lock(path, FleetLock().with_host("b", BOSS).with_host("a", empty))
    first = path.read_bytes()
    write_fleet_lock(path, FleetLock().with_host("a", empty).with_host("b", BOSS))
    assert path.read_bytes() == first
    assert path.read_text().endswith(f"""\
version: 1
hosts:
  a:
    tailnet: {{}}
    host_keys: []
  b:
    tailnet:
      ipv4: 100.64.0.1
      ipv6: fd7a:115c:a1e0::1
      name: boss.tail1234.ts.net
    host_keys:
    - {KEY}
""")


def test_the_header_says_who_writes_it(path: Path) -> None:
    write_fleet_lock(path, FleetLock())
    assert "Written by runs, reviewed in git" in path.read_text()


def test_writing_keeps_the_mode_and_leaves_nothing_behind(path: Path) -> None:
    write_fleet_lock(path, FleetLock())
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.chmod(0o600)
    write_fleet_lock(path, FleetLock().with_host("boss", BOSS))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fleet_lock(path, FleetLock())
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_fleet_lock(path, FleetLock().with_host("boss", BOSS))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_strays_are_the_hosts_that_the_fleet_does_not_have(path: Path) -> None:
    lock = FleetLock().with_host("new", BOSS).with_host("old", BOSS)
    assert lock.strays(("new",)) == ("old",)


def test_faults_of_the_fleet_lock_are_told_at_once(path: Path) -> None:
    found = refusal(
        path,
        f"""\
version: 1
hosts:
  a: {{tailnet: {{ipv4: 10.0.0.1}}, host_key: []}}
  b: {{tailnet: {{ipv4: 100.64.0.1, ipv6: "fe80::1"}}}}
  c: {{host_keys: [{KEY[:-10]}!, "ssh-rsa {KEY.split()[1]}", {KEY}]}}
  d: {{tailnet: {{ipv4: 100.64.0.1}}}}
""",
    )
    assert found[0] == '3 hosts.a.host_key: unknown key; did you mean "host_keys"? known: ' + (
        "tailnet, host_keys, dispatch_key, health_key, compiler, environments, mac_address, "
        "networking"
    )
    assert found[1].startswith('3 hosts.a.tailnet.ipv4: "10.0.0.1" is not a tailnet address')
    assert found[2].startswith('4 hosts.b.tailnet.ipv6: "fe80::1" is not a tailnet address')
    assert found[3].startswith("5 hosts.c.host_keys[0]:")
    assert "is not an SSH key; a public key without comment" in found[4]
    assert found[5].startswith("6 hosts.d.tailnet.ipv4: 100.64.0.1 is b's already")
    assert len(found) == 6


ENVIRONMENT = environment(Arch.AARCH64)


def test_a_compiler_and_what_was_packed_are_read_as_they_are_written(path: Path) -> None:
    made = (ENVIRONMENT, environment(Arch.AARCH64, PATCHED))
    lock = FleetLock().with_host("a", LockedHost(compiler=CLANG, environments=made))
    write_fleet_lock(path, lock.with_host("b", LockedHost()))
    found = read_fleet_lock(path)
    assert (found.compiler("a"), found.environments("a")) == (CLANG, made)
    for other in ("b", "nobody"):
        assert (found.compiler(other), found.environments(other)) == (None, ())
    write_fleet_lock(path, found)
    assert read_fleet_lock(path) == found


def packed(**differing: object) -> str:
    """An environment as the lock has it, in one line."""
    stated = ENVIRONMENT.model_dump(mode="json") | differing
    return "{" + ", ".join(f"{key}: {value}" for key, value in stated.items()) + "}"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("compiler: gcc 12.2.0", 'compiler: "gcc 12.2.0" is not a compiler; `VERSION+CODE DIGEST`'),
        ("compiler: 16", "compiler: 16 is not text"),
        (f"environments: [{packed(compiler='gcc 0123456789ab')}]", '"gcc 0123456789ab" is not a c'),
        (f"environments: [{packed(language='gcc')}]", "environments[0].language: unknown key"),
        (f"environments: [{packed(name='gcc.tar.zst')}]", "environments[0].name: unknown key"),
        (f"environments: [{packed(platform='armv7l')}]", 'platform: "armv7l" is not known'),
        (f"environments: [{packed(content='gcc')}]", 'content: "gcc" is not a SHA-256; write 64'),
        (f"environments: [{packed(size=20)}]", "environments[0].size: 20 is out of range"),
        (f"environments: [{packed(unpacked='1e3')}]", 'unpacked: "1e3" is not a number'),
        ("environments: [{platform: aarch64}]", "is missing"),
    ],
)
def test_an_environment_of_another_compiler_cannot_be_noted(
    path: Path, entry: str, said: str
) -> None:
    found = refusal(path, f"version: 1\nhosts:\n  a: {{{entry}}}\n")
    assert all(problem.startswith("3 ") for problem in found)
    assert any(said in problem for problem in found), found


def test_a_fleet_file_has_its_lock_beside_it() -> None:
    assert lock_path(Path("a/fleet.yaml")) == Path("a/fleet.lock.yaml")
    assert lock_path(Path("a/other.yml")) == Path("a/other.lock.yaml")


PINS = """\
version: 1
artifacts:
  tool:
    version: '1.2'
    platforms:
      linux-x86_64:
        sources:
        - origin: upstream
          url: https://example.org/tool-1.2.tar.gz
        - origin: npm
          npm: '@example/tool-linux-x64'
        sha256: 249dcf74f0fc477ff9735ff0bdcdfaa4c257a864c4db5255d8b25c9f4fd20b6b
        size: 10
"""


@pytest.fixture
def pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "artifacts.lock.yaml"
    path.write_text(PINS)
    return path


def test_an_artifact_is_found_by_name_and_platform(pins: Path) -> None:
    artifact = read_artifacts_lock(pins).get("tool", "linux-x86_64")
    assert (artifact.name, artifact.version, artifact.size) == ("tool", "1.2", 10)
    source = artifact.source("npm")
    assert source is not None
    assert source.npm == "@example/tool-linux-x64"
    assert artifact.source("debian") is None


def test_any_platform_serves_every_platform() -> None:
    artifact = read_artifacts_lock(ROOT / "artifacts.lock.yaml").get("icecream-source", "whatever")
    assert artifact.platform == "any"
    assert artifact.version == "1.4"
    assert {source.origin for source in artifact.sources} == {"upstream", "debian"}


def test_what_is_not_pinned_says_so(pins: Path) -> None:
    lock = read_artifacts_lock(pins)
    with pytest.raises(FleetError, match=r'"toool" is not pinned\n.*did you mean "tool"'):
        lock.get("toool", "any")
    with pytest.raises(FleetError, match=r'not pinned for "darwin"\n    pinned for: linux-x86_64'):
        lock.get("tool", "darwin")


def test_pins_are_written_as_they_are_read(pins: Path) -> None:
    lock = read_artifacts_lock(pins)
    write_artifacts_lock(pins, lock)
    assert pins.read_text().endswith(PINS)
    assert pins.read_text().startswith("# What is downloaded")
    assert read_artifacts_lock(pins) == lock


def test_the_repositorys_locks_are_as_the_writers_leave_them(tmp_path: Path) -> None:
    write_artifacts_lock(tmp_path / "a", read_artifacts_lock(ROOT / "artifacts.lock.yaml"))
    assert (tmp_path / "a").read_text() == (ROOT / "artifacts.lock.yaml").read_text()
    write_fleet_lock(tmp_path / "f", read_fleet_lock(ROOT / "fleet.lock.yaml"))
    assert (tmp_path / "f").read_text() == (ROOT / "fleet.lock.yaml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sha256: 249d", "sha256: 249D", "12 artifacts.tool.platforms.linux-x86_64.sha256:"),
        ("size: 10", "size: 0", "13 artifacts.tool.platforms.linux-x86_64.size: 0 is out of range"),
        ("https:", "http:", "9 artifacts.tool.platforms.linux-x86_64.sources[0].url:"),
        ("          npm:", "          url:", "11 artifacts.tool"),
        ("version: '1.2'", "version: 1.2", "4 artifacts.tool.version: 1.2 is not text; put it"),
        ("          npm: '@example/tool-linux-x64'\n", "", "10 artifacts.tool"),
        ("        size: 10\n", "", "6 artifacts.tool.platforms.linux-x86_64.size: is missing"),
    ],
)
def test_a_pin_that_is_none(pins: Path, old: str, new: str, said: str) -> None:
    assert old in PINS
    found = refusal(pins, PINS.replace(old, new))
    assert len(found) == 1
    assert found[0].startswith(said)


def test_no_lock_at_all_pins_nothing(tmp_path: Path) -> None:
    assert read_artifacts_lock(tmp_path / "absent.yaml") == ArtifactsLock()
