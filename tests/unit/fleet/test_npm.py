"""npm packages: the digest that is published, the archive, and what npm says when it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.lock import Voucher
from fleet.npm import archive, integrity
from fleet.problems import FetchError
from tests.unit.sources import Npm
from tests.unit.sources import integrity as published

PACKAGE = "@example/tool-linux-x64"


def test_the_published_digest(npm: Npm) -> None:
    npm.publish(f"{PACKAGE}@1.2.3", b"content")
    found = integrity(PACKAGE, "1.2.3")
    assert found is not None
    assert (found.algorithm, found.by) == ("sha512", Voucher.NPM)
    npm.publish(f"{PACKAGE}@1.2.4", b"content", f"sha1-abc= {published(b'content')}?option")
    assert integrity(PACKAGE, "1.2.4") == found, "the strongest of several"


@pytest.mark.parametrize("stated", ["", "sha1-qUp0MjQQ1ffKPQ0c4gBQJkpJ0Fk=", "sha512-short"])
def test_a_package_without_one(stated: str, npm: Npm) -> None:
    npm.publish("old@0.1.0", b"content", stated)
    assert integrity("old", "0.1.0") is None


def test_the_archive(npm: Npm, tmp_path: Path) -> None:
    npm.publish(f"{PACKAGE}@1.2.3", b"content")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    assert archive(PACKAGE, "1.2.3", scratch).read_bytes() == b"content"
    assert npm.calls == [
        f"pack {PACKAGE}@1.2.3 --json --pack-destination {scratch} --ignore-scripts"
    ]


def test_a_version_that_is_not_there(npm: Npm) -> None:
    with pytest.raises(FetchError, match=r"npm knows no tool@9\.9\.9") as caught:
        integrity("tool", "9.9.9")
    assert caught.value.fix == "see which there are: npm view tool versions"


@pytest.mark.parametrize("version", ["latest", "1", "^1.2.3", "1.2.3 || 2", "git+https://x/y"])
def test_what_is_another_file_tomorrow(version: str, npm: Npm) -> None:
    with pytest.raises(FetchError, match="is not one version"):
        integrity("tool", version)
    assert npm.calls == []


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        (
            """echo '{"error": {"code": "ECONNREFUSED", "summary": "request failed"}}'; exit 1""",
            "npm says: request failed",
        ),
        ("echo 'npm error first\nnpm error last\n' >&2; exit 1", "npm says: npm error last"),
        ("exit 7", "npm says: exit code 7"),
        ("echo surprise; exit 0", 'npm says "surprise"'),
        ("exec sleep 5", "did not answer within 0 s"),
    ],
)
def test_what_goes_wrong(shell: str, words: str, npm: Npm, monkeypatch: pytest.MonkeyPatch) -> None:
    npm.on("view", shell)
    if "sleep" in shell:
        monkeypatch.setattr("fleet.npm.VIEW_S", 0.1)
    with pytest.raises(FetchError, match=words):
        integrity("tool", "1.0.0")


def test_offline_says_where_to_look(npm: Npm) -> None:
    npm.on("view", """echo '{"error": {"code": "ENOTFOUND", "summary": "no"}}'; exit 1""")
    with pytest.raises(FetchError) as caught:
        integrity("tool", "1.0.0")
    assert "network" in caught.value.fix


def test_an_archive_that_does_not_come(npm: Npm, tmp_path: Path) -> None:
    npm.on("pack", "exit 0")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(FetchError, match=r"brought no archive of tool 1\.0\.0"):
        archive("tool", "1.0.0", scratch)


def test_no_npm_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FetchError, match="no npm here") as caught:
        integrity("tool", "1.0.0")
    assert "install npm" in caught.value.fix
