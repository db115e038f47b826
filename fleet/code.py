"""Code that goes with a task and comes back: a git bundle of one commit, and a branch of a patch.

Nothing is written to the repository but the branch, when all of it is there.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fleet.problems import FleetError, show

MOST = 32 << 20  # bytes that the orchestrator keeps of one file
# What comes back was written by an agent: no hook of the patched tree runs, nobody is asked.
_CAREFUL = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0")


@dataclass(frozen=True)
class Shipped:
    """A commit with all of its history, as a bundle. `unsaved`: what is not committed stays."""

    content: bytes
    commit: str
    ref: str
    name: str
    unsaved: bool


def ship(repo: Path, ref: str) -> Shipped:
    """Pack what is needed to have `ref` elsewhere. Raises FleetError."""
    top = _said(repo, "rev-parse", "--show-toplevel", fault="is no git repository with files")
    name = f"{ref}^{{commit}}"
    fault = f"has no commit {show(ref)}"
    commit = _said(repo, "rev-parse", "--verify", "--end-of-options", name, fault=fault)
    if _said(repo, "rev-parse", "--is-shallow-repository") == "true":
        fix = "git fetch --unshallow"
        raise FleetError.of(str(repo), "has only a part of its history", fix)
    if not re.fullmatch("[0-9a-f]{40}", commit):
        fix = "agents get code by SHA-1 names alone"
        raise FleetError.of(str(repo), "names its commits by SHA-256", fix)
    # A bundle is a list of names and a pack. `git bundle create` would want a ref of the commit.
    pack = _run(repo, ("pack-objects", "--revs", "--stdout", "-q"), f"{commit}\n".encode())
    if pack.returncode:
        raise FleetError.of(str(repo), _words(pack), "")
    content = f"# v2 git bundle\n{commit} refs/heads/task\n\n".encode() + pack.stdout
    if len(content) > MOST:
        fix = f"{MOST >> 20} MB is the most: send a branch without the large files' history"
        raise FleetError.of(str(repo), f"is {len(content) / (1 << 20):.0f} MB at {ref}", fix)
    unsaved = bool(_said(repo, "status", "--porcelain", "--untracked-files=no"))
    return Shipped(content, commit, ref, Path(top).name, unsaved)


def branch(repo: Path, name: str, base: str, patch: str, words: str) -> str:
    """Make a branch at `base` with the patch applied; what it holds, a line for a commit.

    Raises FleetError, and then there is no branch.
    """
    where = str(repo)
    _said(repo, "check-ref-format", "--branch", name, fault=f"{show(name)} is no name of a branch")
    if _run(repo, ("show-ref", "-q", "--verify", f"refs/heads/{name}")).returncode == 0:
        fix = "say another name: --branch NAME"
        raise FleetError.of(where, f"has a branch {show(name)} already", fix)
    if _run(repo, ("cat-file", "-e", f"{base}^{{commit}}")).returncode:
        fix = "run this in the repository that the task was sent from (--repo DIR)"
        raise FleetError.of(where, f"has no commit {base}, where the task began", fix)
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        _said(repo, "worktree", "add", "-q", "--detach", str(tree), base)
        try:
            _apply(where, tree, base, patch.encode("utf-8", "surrogateescape"), words)
            made = _said(tree, "log", "--reverse", "--format=%h %an: %s", f"{base}..HEAD")
            _said(repo, "branch", "--no-track", name, _said(tree, "rev-parse", "HEAD"))
        finally:
            _run(repo, ("worktree", "remove", "--force", str(tree)))
    return made


def _apply(where: str, tree: Path, base: str, patch: bytes, words: str) -> None:
    """With the agent's own commits where that works, else as one."""
    if _run(tree, ("am", "-q", "--keep-cr", "--no-gpg-sign", "-"), patch).returncode == 0:
        return
    _run(tree, ("am", "--abort"))
    _said(tree, "reset", "-q", "--hard", base)
    applied = _run(tree, ("apply", "--index", "--whitespace=nowarn", "-"), patch)
    if applied.returncode:
        fix = "nothing was changed; `fleet task show ID --patch` prints it"
        raise FleetError.of(where, f"the patch does not apply: {_words(applied)}", fix)
    _said(tree, "commit", "-q", "--no-verify", "--no-gpg-sign", "-m", words)


def _said(repo: Path, *words: str, fault: str = "") -> str:
    run = _run(repo, words)
    if run.returncode:
        raise FleetError.of(str(repo), fault or _words(run), "" if not fault else _words(run))
    return run.stdout.decode(errors="replace").strip()


def _words(run: subprocess.CompletedProcess[bytes]) -> str:
    return run.stderr.decode(errors="replace").strip() or f"git ended with {run.returncode}"


def _run(
    repo: Path, words: tuple[str, ...], says: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    # Inside of a hook or an alias git says which repository is meant: it is ours that is.
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return subprocess.run(
        ["git", "-C", str(repo), *_CAREFUL, *words],
        input=says,
        capture_output=True,
        env=clean | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"},
        check=False,
    )
