"""`fleet pin`: what is written, what is refused, and that a refusal changes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
from pathlib import Path

import pytest

from fleet import catalog, cli, github, pinning
from fleet.catalog import CATALOG
from fleet.commands import pin as pin_command
from fleet.lock import ArtifactsLock, Pin, read_artifacts_lock, write_artifacts_lock
from fleet.problems import FleetError
from tests.golden import views
from tests.unit.sources import Apt, Npm, Web

Capture = pytest.CaptureFixture[str]
NEW, OLD = b"new bytes", b"old bytes"
NEW_HEX, OLD_HEX = (hashlib.sha256(content).hexdigest() for content in (NEW, OLD))
NPM = ["pin", "tool", "1.0.0", "--source", "npm=npm:tool"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fleet.target.ROOT", tmp_path)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "artifacts.lock.yaml"


def pins(lock: Path, name: str = "tool") -> dict[str, Pin]:
    return dict(read_artifacts_lock(lock).artifacts[name].platforms)


def kept(cache: Path) -> set[str]:
    folder = cache / "artifacts"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


# what is written


def test_a_new_name_from_npm(npm: Npm, lock: Path, cache: Path, capsys: Capture) -> None:
    npm.publish("tool@1.0.0", NEW)
    assert cli.main(NPM) == 0
    assert capsys.readouterr().out == (
        f"tool 1.0.0: pinned\n  any: 9 bytes, sha256:{NEW_HEX}\n    vouched for by npm-integrity\n"
    )
    text = lock.read_text()
    assert text.endswith(
        "artifacts:\n  tool:\n    version: 1.0.0\n    platforms:\n      any:\n"
        "        sources:\n        - origin: npm\n          npm: tool\n"
        f"        sha256: {NEW_HEX}\n        size: 9\n"
        "        vouched:\n        - npm-integrity\n"
    )
    assert kept(cache) == {NEW_HEX}


def test_first_fetch_trust_is_said(web: Web, lock: Path, capsys: Capture) -> None:
    web.serve("/v1.4/tool.tar.gz", NEW)
    source = f"upstream={web.url}/v{{version}}/tool.tar.gz"
    assert cli.main(["pin", "tool", "1.4", "--source", source]) == 0
    assert "vouched for by nobody: first fetch" in capsys.readouterr().out
    assert "        vouched: []\n" in lock.read_text()
    assert pins(lock)["any"].sources[0].url == f"{web.url}/v1.4/tool.tar.gz"


def test_all_platforms_and_all_sources(
    npm: Npm, web: Web, apt: Apt, lock: Path, cache: Path
) -> None:
    npm.publish("tool@1.0.0", NEW)
    apt.publish("tool", "1.0.0-1", NEW)
    web.serve("/1.0.0/mac", OLD)
    mac = f"mac:upstream={web.url}/{{version}}/mac"
    sources = ["--source", "linux:npm=npm:tool", "--source", "linux:debian=apt:tool"]
    stated = ["--digest", f"mac:sha256:{OLD_HEX.upper()}"]
    assert cli.main(["pin", "tool", "1.0.0", *sources, "--source", mac, *stated]) == 0
    found = pins(lock)
    assert found["linux"].vouched == ("apt-index", "npm-integrity")
    assert (found["mac"].sha256, found["mac"].vouched) == (OLD_HEX, ("stated",))
    assert kept(cache) == {NEW_HEX, OLD_HEX}


def test_a_program_of_the_fleet_needs_no_source(npm: Npm, lock: Path) -> None:
    packages = "@anthropic-ai/claude-code-"
    for platform, content in (("linux-x64", b"1"), ("linux-arm64", b"2"), ("darwin-x64", b"3")):
        npm.publish(f"{packages}{platform}@2.1.330", content)
        npm.publish(f"{packages}{platform}@2.1.331", content * 2)
    assert cli.main(["pin", "claude-code", "2.1.330"]) == 0
    found = pins(lock, "claude-code")
    assert {platform: pin.sources[0].npm for platform, pin in found.items()} == {
        "darwin-x86_64": f"{packages}darwin-x64",
        "linux-aarch64": f"{packages}linux-arm64",
        "linux-x86_64": f"{packages}linux-x64",
    }
    write_artifacts_lock(lock, _without(lock, "claude-code", "darwin-x86_64"))
    assert cli.main(["pin", "claude-code", "2.1.331"]) == 0
    assert pins(lock, "claude-code").keys() == found.keys(), "platforms that were missing come"


def _without(lock: Path, name: str, platform: str) -> ArtifactsLock:
    found = read_artifacts_lock(lock)
    rest = {key: pin for key, pin in found.artifacts[name].platforms.items() if key != platform}
    pinned = found.artifacts[name].model_copy(update={"platforms": rest})
    return found.with_artifact(name, pinned)


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_every_program_of_the_fleet_is_published_for_every_kind_of_host(name: str) -> None:
    sources = [
        pin_command.read_source(text, CATALOG[name].version) for text in CATALOG[name].sources
    ]
    platforms = {view.host.platform for view in views().values()}
    assert {platform for platform, _ in sources} == platforms
    assert len({source.place for _, source in sources}) == len(sources)
    assert catalog.command(name) == f"fleet pin {name} {CATALOG[name].version}"


def test_one_s_own_source_is_taken_before_the_known_one(npm: Npm, lock: Path) -> None:
    npm.publish("my-claude@2.1.330", NEW)
    own = ["pin", "claude-code", "2.1.330", "--source", "npm=npm:my-claude"]
    assert cli.main(own) == 0
    npm.publish("my-claude@2.1.331", OLD)
    assert cli.main(["pin", "claude-code", "2.1.331"]) == 0
    assert pins(lock, "claude-code").keys() == {"any"}


def test_a_new_version_keeps_platforms_and_sources(npm: Npm, web: Web, lock: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        npm.publish(f"tool@{version}", version.encode())
        web.serve(f"/v{version}/tool-{version}.tgz", version.encode())
    address = f"linux:upstream={web.url}/v{{version}}/tool-{{version}}.tgz"
    sources = ["--source", address, "--source", "linux:npm=npm:tool"]
    assert cli.main(["pin", "tool", "1.0.0", *sources]) == 0
    assert cli.main(["pin", "tool", "1.1.0"]) == 0
    (pin,) = pins(lock).values()
    assert [s.place for s in pin.sources] == [f"{web.url}/v1.1.0/tool-1.1.0.tgz", "npm:tool"]
    assert pin.sha256 == hashlib.sha256(b"1.1.0").hexdigest()


def test_stated_sources_replace_those_of_their_platform(npm: Npm, lock: Path) -> None:
    npm.publish("tool@1.0.0", NEW)
    npm.publish("other@1.1.0", OLD)
    npm.publish("tool@1.1.0", NEW)
    assert cli.main([*NPM, "--source", "mac:npm=npm:tool"]) == 0
    assert cli.main(["pin", "tool", "1.1.0", "--source", "mac:npm=npm:other"]) == 0
    assert {p: pin.sources[0].npm for p, pin in pins(lock).items()} == {
        "any": "tool",
        "mac": "other",
    }


def test_the_rest_of_the_lock_stays(npm: Npm, lock: Path) -> None:
    npm.publish("tool@1.0.0", NEW)
    npm.publish("another@1.0.0", OLD)
    assert cli.main(["pin", "another", "1.0.0", "--source", "npm=npm:another"]) == 0
    before = pins(lock, "another")
    assert cli.main(NPM) == 0
    assert pins(lock, "another") == before


def test_what_others_pin_meanwhile_stays(npm: Npm, lock: Path, tmp_path: Path) -> None:
    npm.publish("tool@1.0.0", NEW)
    assert cli.main(NPM) == 0
    other = tmp_path / "other"
    other.write_text(lock.read_text().replace("  tool:", "  other:"))
    lock.unlink()
    npm.on("pack", f"cp {other} {lock}")
    assert cli.main(NPM) == 0
    assert set(read_artifacts_lock(lock).artifacts) == {"other", "tool"}


def test_a_digest_of_a_github_release(
    web: Web, lock: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = re.escape(f"{web.url}/")
    asset = re.compile(f"{here}([^/]+/[^/]+)/releases/download/([^/]+)/([^/]+)")
    monkeypatch.setattr(github, "_ASSET", asset)
    monkeypatch.setattr(github, "_RELEASE", f"{web.url}/{{repository}}/{{tag}}.json")
    web.serve("/o/tool/releases/download/v1.4/tool.tgz", NEW)
    source = f"github={web.url}/o/tool/releases/download/v{{version}}/tool.tgz"
    command = ["pin", "tool", "1.4", "--source", source]
    release = {"assets": [{"name": "tool.tgz", "digest": f"sha256:{OLD_HEX}"}]}
    web.serve_json("/o/tool/v1.4.json", release)
    assert cli.main(command) == 1
    assert not lock.exists()
    said = capsys.readouterr().err
    assert f"gives sha256:{NEW_HEX}, github-release says sha256:{OLD_HEX}" in said
    release["assets"][0]["digest"] = f"sha256:{NEW_HEX}"
    web.serve_json("/o/tool/v1.4.json", release)
    assert cli.main(command) == 0
    assert pins(lock)["any"].vouched == ("github-release",)


# nothing to do


def test_again_is_nothing_to_do(npm: Npm, lock: Path, cache: Path, capsys: Capture) -> None:
    npm.publish("tool@1.0.0", NEW)
    assert cli.main([*NPM, "--digest", f"sha256:{NEW_HEX}"]) == 0
    assert pins(lock)["any"].vouched == ("npm-integrity", "stated")
    before, inode = lock.read_bytes(), lock.stat().st_ino
    for command in (NPM, NPM[:3], [*NPM, "--dry-run"]):
        assert cli.main(command) == 0
        assert "tool 1.0.0: nothing to do\n" in capsys.readouterr().out
        assert (lock.read_bytes(), lock.stat().st_ino) == (before, inode)
    assert kept(cache) == {NEW_HEX}
    (cache / "artifacts" / NEW_HEX).unlink()
    assert cli.main(NPM) == 0
    assert kept(cache) == {NEW_HEX}, "the cache has it for the next run"


def test_a_lock_of_before_stays_until_somebody_vouches(
    npm: Npm, web: Web, lock: Path, capsys: Capture
) -> None:
    web.serve("/1.0.0", NEW)
    address = f"upstream={web.url}/{{version}}"
    assert cli.main(["pin", "tool", "1.0.0", "--source", address]) == 0
    text = lock.read_text().replace("        vouched: []\n", "")
    lock.write_text(text)
    assert cli.main(["pin", "--list"]) == 0
    assert "not noted" in capsys.readouterr().out
    assert cli.main(["pin", "tool", "1.0.0"]) == 0
    assert lock.read_text() == text
    assert cli.main(["pin", "tool", "1.0.0", "--digest", f"sha256:{NEW_HEX}"]) == 0
    assert pins(lock)["any"].vouched == ("stated",)
    assert cli.main(["pin", "tool", "1.0.0"]) == 0
    assert pins(lock)["any"].vouched == ("stated",), "who vouched once did so for good"


def test_a_dry_run_shows_the_difference(npm: Npm, lock: Path, cache: Path, capsys: Capture) -> None:
    npm.publish("tool@1.0.0", OLD)
    npm.publish("tool@1.1.0", NEW)
    assert cli.main([*NPM, "--dry-run"]) == 0
    assert not lock.exists()
    assert "\n+  tool:\n" in capsys.readouterr().out
    assert cli.main(NPM) == 0
    before = lock.read_bytes()
    capsys.readouterr()
    assert cli.main(["pin", "tool", "1.1.0", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("tool 1.1.0: would be pinned\n")
    assert "--- artifacts.lock.yaml\n+++ artifacts.lock.yaml\n" in said
    assert "\n-    version: 1.0.0\n+    version: 1.1.0\n" in said
    assert f"\n-        sha256: {OLD_HEX}\n+        sha256: {NEW_HEX}\n" in said
    assert lock.read_bytes() == before
    assert kept(cache) == {OLD_HEX}


# what is refused


def refused(command: list[str], lock: Path, cache: Path, capsys: Capture) -> str:
    """The message of a command that has to fail, and to leave everything as it was."""
    before = lock.read_bytes() if lock.exists() else b"", kept(cache)
    capsys.readouterr()
    assert cli.main(command) == 1
    assert (lock.read_bytes() if lock.exists() else b"", kept(cache)) == before
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_a_published_file_that_was_replaced(
    npm: Npm, lock: Path, cache: Path, capsys: Capture
) -> None:
    npm.publish("tool@1.0.0", OLD)
    assert cli.main(NPM) == 0
    npm.publish("tool@1.0.0", NEW)
    said = refused(NPM, lock, cache, capsys)
    assert f"ALARM: this version was pinned as {OLD_HEX} and is now {NEW_HEX}" in said
    assert "--replace" in said
    assert cli.main([*NPM, "--replace"]) == 0
    assert pins(lock)["any"].sha256 == NEW_HEX


def test_sources_that_differ(npm: Npm, apt: Apt, lock: Path, cache: Path, capsys: Capture) -> None:
    npm.publish("tool@1.0.0", NEW)
    apt.publish("tool", "1.0.0-1", OLD)
    command = [*NPM, "--source", "debian=apt:tool"]
    said = refused(command, lock, cache, capsys)
    assert f"npm (npm:tool) gives {NEW_HEX}, debian (apt:tool) gives {OLD_HEX}" in said
    assert "differ" in refused([*command, "--replace"], lock, cache, capsys)


def test_bytes_that_are_not_those_that_npm_publishes(
    npm: Npm, lock: Path, cache: Path, capsys: Capture
) -> None:
    npm.publish("tool@1.0.0", NEW)
    (npm.folder / "tool@1.0.0" / "archive").write_bytes(OLD)
    said = refused([*NPM, "--replace"], lock, cache, capsys)
    ours, theirs = (hashlib.sha512(content).hexdigest() for content in (OLD, NEW))
    assert f"npm (npm:tool) gives sha512:{ours}, npm-integrity says sha512:{theirs}" in said


def test_bytes_that_are_not_those_of_apts_index(
    apt: Apt, lock: Path, cache: Path, capsys: Capture
) -> None:
    apt.publish("tool", "1.0.0-1", OLD, NEW_HEX)
    said = refused(["pin", "tool", "1.0.0", "--source", "debian=apt:tool"], lock, cache, capsys)
    assert f"gives sha256:{OLD_HEX}, apt-index says sha256:{NEW_HEX}" in said


def test_bytes_that_are_not_those_stated(
    npm: Npm, lock: Path, cache: Path, capsys: Capture
) -> None:
    npm.publish("tool@1.0.0", NEW)
    said = refused([*NPM, "--digest", f"sha256:{OLD_HEX}"], lock, cache, capsys)
    assert f"gives sha256:{NEW_HEX}, stated says sha256:{OLD_HEX}" in said


def test_one_platform_that_fails_is_enough(
    npm: Npm, lock: Path, cache: Path, capsys: Capture
) -> None:
    npm.publish("tool@1.0.0", NEW)
    said = refused([*NPM, "--source", "mac:npm=npm:tool-mac"], lock, cache, capsys)
    assert "tool 1.0.0 (mac) from npm (npm:tool-mac): npm knows no tool-mac@1.0.0\n" in said
    assert "npm view tool-mac versions" in said


def test_an_unknown_version(npm: Npm, web: Web, lock: Path, cache: Path, capsys: Capture) -> None:
    npm.publish("tool@1.0.0", NEW)
    assert cli.main(NPM) == 0
    assert "npm knows no tool@1.1.0" in refused(["pin", "tool", "1.1.0"], lock, cache, capsys)
    source = f"upstream={web.url}/{{version}}"
    said = refused(["pin", "it", "2", "--source", source], lock, cache, capsys)
    assert f"it 2 (any) from upstream ({web.url}/2): " in said
    assert "answers HTTP 404\n    check that this version is published there" in said


def test_an_empty_file(web: Web, lock: Path, cache: Path, capsys: Capture) -> None:
    source = f"upstream={web.serve('/1/')}"
    said = refused(["pin", "tool", "1", "--source", source], lock, cache, capsys)
    assert "the file is empty" in said


@pytest.mark.parametrize(
    ("old", "address", "new"),
    [
        ("1.4", "/v1.4/x-1.4.tgz", "/v2.0/x-2.0.tgz"),
        ("1.4", "/1.4.1/x-11.4-3.1.4/1.4", "/1.4.1/x-11.4-3.1.4/2.0"),
        ("1.4", "/1.41/x", None),
        ("2.1", "/v2_1/x", None),
    ],
)
def test_where_the_version_is_in_an_address(old: str, address: str, new: str | None) -> None:
    entry = {"sources": [{"origin": "o", "url": f"https://x{address}"}]}
    pin = {**entry, "sha256": NEW_HEX, "size": 1}
    lock = ArtifactsLock.model_validate(
        {"artifacts": {"tool": {"version": old, "platforms": {"any": pin}}}}
    )
    wish = pinning.Wish("tool", "2.0", {}, {})
    if new is None:
        with pytest.raises(FleetError, match=r"does not occur in .*\n.*--source any:o=https:"):
            pinning.wanted_sources(lock, wish)
    else:
        (source,) = pinning.wanted_sources(lock, wish)["any"]
        assert source.url == f"https://x{new}"


def test_a_new_name_needs_a_source(lock: Path, cache: Path, capsys: Capture) -> None:
    said = refused(["pin", "tool", "1"], lock, cache, capsys)
    assert said == (
        "tool 1: is not pinned yet, and no source is given\n"
        "    say where it is: --source ORIGIN=WHERE\n"
    )


def test_a_name_that_is_nearly_one(npm: Npm, lock: Path, cache: Path, capsys: Capture) -> None:
    npm.publish("tool@1.0.0", NEW)
    assert cli.main(NPM) == 0
    assert 'did you mean "tool"?' in refused(["pin", "tol", "1"], lock, cache, capsys)


def test_a_digest_for_no_platform(npm: Npm, lock: Path, cache: Path, capsys: Capture) -> None:
    said = refused([*NPM, "--digest", f"mac:sha256:{NEW_HEX}"], lock, cache, capsys)
    assert "has no platform mac" in said
    assert npm.calls == []


# what this machine refuses


def test_a_lock_that_cannot_be_written_is_told_before_the_download(
    npm: Npm, tmp_path: Path, cache: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm.publish("tool@1.0.0", NEW)
    monkeypatch.setattr("fleet.target.ROOT", tmp_path / "gone")
    said = refused(NPM, tmp_path / "gone" / "artifacts.lock.yaml", cache, capsys)
    assert "gone/artifacts.lock.yaml: cannot be written: No such file or directory\n" in said
    assert npm.calls == []


def test_a_full_disk(web: Web, lock: Path, cache: Path, capsys: Capture) -> None:
    source = f"upstream={web.serve('/1/large', size=2 << 20)}"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        said = refused(["pin", "tool", "1", "--source", source], lock, cache, capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"from upstream ({web.url}/1/large): File too large\n" in said
    assert f"make room in {cache}" in said


@pytest.mark.parametrize("verb", ["view", "pack"])
def test_an_interrupt_leaves_everything_as_it_was(
    verb: str, npm: Npm, lock: Path, cache: Path
) -> None:
    for name in ("tool", "mac"):
        npm.publish(f"{name}@1.0.0", OLD)
        npm.publish(f"{name}@1.1.0", NEW)
    assert cli.main([*NPM, "--source", "mac:npm=npm:mac"]) == 0
    before = lock.read_bytes()
    npm.on(verb, f'[ "$2" != mac@1.1.0 ] || {{ kill -INT {os.getpid()}; exec sleep 5; }}')
    assert cli.main(["pin", "tool", "1.1.0"]) == 130
    assert any(call.startswith("pack tool@1.1.0") for call in npm.calls), "one has come already"
    assert lock.read_bytes() == before
    assert kept(cache) == {OLD_HEX}


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, ""),
        (OSError(28, "No space left on device"), 1, "cannot be written: No space left on device"),
    ],
)
def test_the_cache_too_is_as_it_was_when_the_lock_is_not_written(
    error: BaseException,
    code: int,
    words: str,
    npm: Npm,
    lock: Path,
    cache: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(path: Path, new: ArtifactsLock) -> None:
        assert kept(cache) > {NEW_HEX}, "it is there already"
        raise error

    npm.publish("tool@1.0.0", NEW)
    monkeypatch.setattr(pinning, "write_artifacts_lock", fails)
    assert cli.main(NPM) == code
    assert words in capsys.readouterr().err
    assert kept(cache) == set()
    assert not lock.exists()


# listing, wrong usage


def test_list(npm: Npm, lock: Path, capsys: Capture) -> None:
    npm.publish("tool@1.0.0", NEW)
    assert cli.main(NPM) == 0
    capsys.readouterr()
    assert cli.main(["pin", "--list"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "NAME",
        "VERSION",
        "PLATFORM",
        "SIZE",
        "SOURCES",
        "VOUCHED",
        "FOR",
        "BY",
    ]
    assert row.split() == ["tool", "1.0.0", "any", "9", "npm", "npm-integrity"]
    assert cli.main(["pin", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "artifacts": [
            {
                "name": "tool",
                "version": "1.0.0",
                "platform": "any",
                "sha256": NEW_HEX,
                "size": 9,
                "sources": [{"origin": "npm", "where": "npm:tool"}],
                "vouched": ["npm-integrity"],
            }
        ]
    }


def test_for_programs(npm: Npm, capsys: Capture) -> None:
    npm.publish("tool@1.0.0", NEW)
    assert cli.main([*NPM, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["outcome"], said["artifacts"][0]["sha256"]) == ("pinned", NEW_HEX)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument"),
        (["tool"], "Missing argument"),
        (["--list", "tool"], "say it alone"),
        (["a b", "1"], 'NAME: "a b" is not a name'),
        (["tool", "1 2"], 'VERSION: "1 2" is not a name'),
        (["tool", "1", "--source", "upstream"], "does not say where"),
        (["tool", "1", "--source", "o=http://x/{version}"], "does not say where"),
        (["tool", "1", "--source", "=npm:tool"], "is not a name"),
        (["tool", "1", "--source", "o=https://x/y"], "is the same for every version"),
        (["tool", "1", "--source", "o=https://x y/1"], "is not a download address"),
        (["tool", "1", "--source", "o=npm:owner/repository"], "is no npm package"),
        (["tool", "1", "--source", "o=apt:--option"], "is not a name"),
        (["tool", "1", "--source", "o=npm:a", "--source", "o=npm:b"], "two sources of the origin"),
        (["tool", "1", "--digest", "sha256:abc"], "is no SHA-256"),
        (["tool", "1", "--digest", f"macsha256:{NEW_HEX}"], "is no SHA-256"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str, lock: Path, capsys: Capture) -> None:
    assert cli.main(["pin", *arguments]) == 64
    assert words in capsys.readouterr().err
    assert not lock.exists()


def test_a_lock_with_a_fault_is_not_touched(lock: Path, cache: Path, capsys: Capture) -> None:
    write_artifacts_lock(lock, ArtifactsLock())
    lock.write_text(lock.read_text() + "surprise: 1\n")
    assert "surprise: unknown key" in refused(NPM, lock, cache, capsys)
