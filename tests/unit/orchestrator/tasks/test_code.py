"""Bundles as git makes them, patches as git makes them, and what is neither."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.tasks import code as checked
from orchestrator.tasks.code import BadCodeError, check_bundle, read_patch
from orchestrator.tasks.model import Code

ENV = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    **{f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def git(where: Path, *words: str) -> str:
    run = subprocess.run(["git", *words], cwd=where, env=ENV, capture_output=True, check=True)
    return run.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
        git(tmp_path, "add", name)
        git(tmp_path, "commit", "-q", "-m", name)
    return tmp_path


def bundle(where: Path, *what: str, version: int = 2) -> bytes:
    git(where, "bundle", "create", "-q", f"--version={version}", "b", *what)
    return (where / "b").read_bytes()


@pytest.mark.parametrize("version", [2, 3])
def test_a_bundle_that_names_the_commit_is_good(repository: Path, version: int) -> None:
    content = bundle(repository, "main", version=version)
    check_bundle(Code("", git(repository, "rev-parse", "main")), content)


def test_faults_of_bundles_are_said(repository: Path) -> None:
    tip, before = git(repository, "rev-parse", "main"), git(repository, "rev-parse", "main~1")
    whole, part = bundle(repository, "main"), bundle(repository, "main~1..main")
    for commit, content, words in (
        (before, whole, "does not name"),
        (tip, part, "needs other commits"),
        (tip, whole[:40], "cut short"),
        (tip, b"PK\3\4", "no git bundle"),
        ("main", whole, "40 hexadecimal"),
        (tip, b"# v3 git bundle\n@object-format=sha256\n\nPACK", "of a kind"),
        (tip, b"# v2 git bundle\n$(reboot)\n\nPACK", "of a kind"),
    ):
        with pytest.raises(BadCodeError, match=words):
            check_bundle(Code("", commit), content)


def test_a_patch_is_counted(repository: Path) -> None:
    base = git(repository, "rev-parse", "main~1")
    (repository / "one").write_text("changed")
    git(repository, "commit", "-qam", "change")
    text = git(repository, "format-patch", "--stdout", base)
    patch = read_patch(2, base, text.encode())
    assert patch is not None
    assert (patch.attempt, patch.base, patch.text) == (2, base, text)
    assert (patch.commits, patch.files) == (2, 2)


def test_nothing_changed_is_no_patch() -> None:
    assert read_patch(1, "a", b"\n") is None


def test_what_is_no_patch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for content, words in ((b"rm -rf /\n", "no patch"), (b"\xff\n", "UTF-8"), (b"a\0", "no text")):
        with pytest.raises(BadCodeError, match=words):
            read_patch(1, "a", content)
    monkeypatch.setattr(checked, "PATCH_LIMIT", 3)
    with pytest.raises(BadCodeError, match="longer"):
        read_patch(1, "a", b"diff --git a/x b/x\n")
