"""Code on its way to an agent and back, with real repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fleet import code
from fleet.problems import FleetError


def git(where: Path, *words: str, says: bytes = b"") -> str:
    run = subprocess.run(["git", *words], cwd=where, input=says, check=True, capture_output=True)
    return run.stdout.decode().strip()


def commit(repo: Path, name: str, text: str) -> str:
    (repo / name).write_text(text)
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", f"Write {name}")
    return git(repo, "rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text("[user]\nname = me\nemail = me@example.com\n")
    found = tmp_path / "mine"
    found.mkdir()
    git(found, "init", "-q", "-b", "main")
    commit(found, "a.txt", "one\n")
    commit(found, "b.txt", "two\n")
    return found


def patch_of(repo: Path, tmp_path: Path, name: str, text: str) -> str:
    """What an agent's commit comes back as."""
    there = tmp_path / "there"
    git(tmp_path, "clone", "-q", str(repo), str(there))
    commit(there, name, text)
    return git(there, "format-patch", "--stdout", "--binary", "HEAD~1..HEAD") + "\n"


@pytest.mark.parametrize("ref", ["HEAD", "main", "HEAD~1", "v1"])
def test_a_commit_is_shipped_with_its_history(repo: Path, ref: str, tmp_path: Path) -> None:
    git(repo, "tag", "-am", "x", "v1")
    before = git(repo, "for-each-ref")
    shipped = code.ship(repo / ".", ref)
    assert git(repo, "for-each-ref") == before, "nothing is written to the repository"
    assert (shipped.name, shipped.ref, shipped.unsaved) == ("mine", ref, False)
    bundle, there = tmp_path / "b", tmp_path / "there"
    bundle.write_bytes(shipped.content)
    git(tmp_path, "clone", "-q", "-b", "task", str(bundle), str(there))
    assert git(there, "rev-parse", "HEAD") == shipped.commit == git(repo, "rev-parse", f"{ref}^0")
    git(there, "fsck", "--full", "--strict")


def test_what_is_not_committed_stays_and_is_said(repo: Path) -> None:
    (repo / "a.txt").write_text("later\n")
    assert code.ship(repo, "HEAD").unsaved


def test_too_much_is_refused(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "MOST", 100)
    with pytest.raises(FleetError, match="MB at HEAD"):
        code.ship(repo, "HEAD")


@pytest.mark.parametrize("ref", ["nothing", "--upload-pack=x", "", "HEAD:a.txt"])
def test_a_ref_that_is_none_is_refused(repo: Path, ref: str) -> None:
    with pytest.raises(FleetError, match="has no commit"):
        code.ship(repo, ref)


def test_a_part_of_a_history_is_refused(repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repo}", "part")
    with pytest.raises(FleetError, match="only a part"):
        code.ship(tmp_path / "part", "HEAD")


def test_a_patch_becomes_a_branch(repo: Path, tmp_path: Path) -> None:
    base = git(repo, "rev-parse", "HEAD")
    patch = patch_of(repo, tmp_path, "new.txt", "three\r\n")
    (repo / "a.txt").write_text("mine, not committed\n")
    commit(repo, "c.txt", "mine\n")
    made = code.branch(repo, "task-1", base, patch, "Task 1")
    assert made.endswith("me: Write new.txt")
    assert git(repo, "show", "task-1:new.txt", "--") == "three"
    assert git(repo, "rev-parse", "task-1~1") == base
    assert git(repo, "branch", "--show-current") == "main"
    assert (repo / "new.txt").exists() is False
    assert len(git(repo, "worktree", "list").splitlines()) == 1


def test_a_plain_diff_becomes_one_commit(repo: Path, tmp_path: Path) -> None:
    base = git(repo, "rev-parse", "HEAD")
    patch = patch_of(repo, tmp_path, "a.txt", "two\n").partition("diff --git")
    made = code.branch(repo, "x", base, patch[1] + patch[2], "Task 1: what it was")
    assert made.endswith("me: Task 1: what it was")


def test_what_does_not_apply_leaves_nothing(repo: Path, tmp_path: Path) -> None:
    patch = patch_of(repo, tmp_path, "a.txt", "two\n").replace("-one", "-other")
    before = git(repo, "for-each-ref")
    with pytest.raises(FleetError, match="does not apply"):
        code.branch(repo, "task-1", git(repo, "rev-parse", "HEAD"), patch, "x")
    assert git(repo, "for-each-ref") == before
    assert git(repo, "status", "--porcelain") == ""
    assert len(git(repo, "worktree", "list").splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "base", "words"),
    [
        ("main", "", "has a branch"),
        ("-d", "", "no name of a branch"),
        ("a..b", "", "no name of a branch"),
        ("task-1", "0" * 40, "where the task began"),
    ],
)
def test_what_cannot_be_a_branch(repo: Path, name: str, base: str, words: str) -> None:
    with pytest.raises(FleetError, match=words):
        code.branch(repo, name, base or git(repo, "rev-parse", "HEAD"), "x", "x")


EVIL = """From 0 Mon Sep 17 00:00:00 2001
From: x <x@y>
Subject: [PATCH] x

---
diff --git a/{path} b/{path}
new file mode 100755
--- /dev/null
+++ b/{path}
@@ -0,0 +1,2 @@
+#!/bin/sh
+touch {mark}
"""


@pytest.mark.parametrize("path", ["../out", ".git/hooks/post-commit", "/etc/x", ".GIT/config"])
def test_a_patch_that_wants_out_makes_nothing(repo: Path, tmp_path: Path, path: str) -> None:
    patch = EVIL.format(path=path, mark=tmp_path / "ran")
    with pytest.raises(FleetError, match="does not apply"):
        code.branch(repo, "task-1", git(repo, "rev-parse", "HEAD"), patch, "x")
    assert not (tmp_path / "out").exists()
    assert not (repo / ".git/hooks/post-commit").exists()


def test_a_hook_in_the_patched_tree_does_not_run(repo: Path, tmp_path: Path) -> None:
    """Projects have their hooks in the tree, where an agent may write them."""
    git(repo, "config", "core.hooksPath", "hooks")
    mark = tmp_path / "ran"
    for hook in ("post-applypatch", "post-commit", "post-checkout", "pre-applypatch"):
        base = git(repo, "rev-parse", "HEAD")
        patch = EVIL.format(path=f"hooks/{hook}", mark=mark)
        code.branch(repo, hook, base, patch, "x")
    assert not mark.exists()
