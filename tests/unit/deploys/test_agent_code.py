"""Code that goes to an agent and comes back as a patch: a real git, a hostile repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.conftest import on_linux
from tests.unit.deploys.test_agentctl import Host
from tests.unit.deploys.test_agentctl import host as host

pytestmark = on_linux
MARK = "somebody else's program has run"


def git(where: Path, *words: str) -> str:
    settings = ("-c", "user.name=x", "-c", "user.email=x@y", "-c", "init.defaultBranch=main")
    return subprocess.run(
        ["git", *settings, *words], cwd=where, check=True, capture_output=True, text=True
    ).stdout.strip()


class Code:
    """A repository at home, a bundle of it, and what the agent has."""

    def __init__(self, host: Host) -> None:
        self.host, self.home, self.there = host, host.path / "mine", host.home / "work" / "task-1"
        self.home.mkdir()
        (host.home / "work").mkdir()
        git(self.home, "init", "-q")
        (self.home / "a.txt").write_text("one\n")
        (self.home / ".gitignore").write_text("build/\n")
        self.commit_all(self.home, "Begin")
        self.commit = git(self.home, "rev-parse", "HEAD")

    def commit_all(self, where: Path, words: str) -> None:
        git(where, "add", "-A")
        git(where, "commit", "-qm", words)

    def bundle(self) -> bytes:
        git(self.home, "bundle", "create", "-q", "../b", "main")
        return (self.home / "../b").read_bytes()

    def take(self, name: str = "task-1", commit: str = "") -> subprocess.CompletedProcess[bytes]:
        return self.verb(f"take-code {name} {commit or self.commit}", self.bundle())

    def patch(self) -> subprocess.CompletedProcess[bytes]:
        return self.verb(f"patch task-1 {self.commit}", b"")

    def verb(self, line: str, says: bytes) -> subprocess.CompletedProcess[bytes]:
        command = [*self.host.shell, str(self.host.ctl), line]
        return subprocess.run(command, input=says, capture_output=True, check=False, timeout=30)

    def applied(self) -> Path:
        """A clone of what was sent, with the patch applied."""
        run = self.patch()
        assert run.returncode == 0, run.stderr
        target = self.host.path / "applied"
        git(self.host.path, "clone", "-q", str(self.home), str(target))
        (self.host.path / "p").write_bytes(run.stdout)
        git(target, "am", "-q", "../p")
        return target


@pytest.fixture
def code(host: Host) -> Code:
    return Code(host)


def test_code_is_there_at_its_commit_on_a_branch(code: Code) -> None:
    (code.home / "a.txt").write_text("later\n")
    code.commit_all(code.home, "Later")
    run = code.take()
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout.decode() == f"{code.there}\n"
    assert (code.there / "a.txt").read_text() == "one\n"
    assert git(code.there, "rev-parse", "HEAD") == code.commit
    assert git(code.there, "branch", "--show-current") == "task"
    assert [path.name for path in (code.host.home / "work").iterdir()] == ["task-1"]


def test_all_that_changed_comes_back(code: Code) -> None:
    """Committed, not committed, new, removed, binary; but not what is ignored."""
    code.take()
    (code.there / "a.txt").write_text("two\n")
    code.commit_all(code.there, "Count on")
    (code.there / "new").mkdir()
    (code.there / "new" / "b.bin").write_bytes(bytes(range(256)))
    (code.there / "new" / "run").write_text("#!/bin/sh\n")
    (code.there / "new" / "run").chmod(0o755)
    (code.there / "build").mkdir()
    (code.there / "build" / "x.o").write_text("no")
    after = code.applied()
    assert (after / "a.txt").read_text() == "two\n"
    assert (after / "new" / "b.bin").read_bytes() == bytes(range(256))
    assert (after / "new" / "run").stat().st_mode & 0o100
    assert not (after / "build").exists()
    assert git(after, "log", "--format=%s").splitlines()[-2:] == ["Count on", "Begin"]
    assert git(code.there, "status", "--porcelain") == "?? new/", "and the agent's is as it was"


def test_nothing_changed_is_an_empty_patch(code: Code) -> None:
    code.take()
    run = code.patch()
    assert (run.returncode, run.stdout) == (0, b"")


@pytest.mark.parametrize("history", ["amend", "merge"])
def test_a_history_that_is_no_line_comes_back_as_one_change(code: Code, history: str) -> None:
    code.take()
    (code.there / "a.txt").write_text("two\n")
    if history == "amend":
        git(code.there, "commit", "-qam", "x", "--amend")
    else:
        git(code.there, "checkout", "-qb", "side")
        git(code.there, "commit", "-qam", "Side")
        git(code.there, "checkout", "-q", "task")
        git(code.there, "merge", "-q", "--no-ff", "-m", "Merge", "side")
    assert (code.applied() / "a.txt").read_text() == "two\n"


def test_nothing_that_the_repository_says_is_run(code: Code) -> None:
    """Hooks, filters, fsmonitor, textconv, external diffs, aliases: not even as the agent."""
    (code.home / ".gitattributes").write_text("* filter=evil diff=evil\n")
    code.commit_all(code.home, "Attributes")
    code.commit = git(code.home, "rev-parse", "HEAD")
    code.take()
    evil = code.host.path / "evil"
    evil.write_text(f"#!/bin/sh\necho '{MARK}' >>{code.host.path}/ran\ncat\n")
    evil.chmod(0o755)
    for key in (
        *("filter.evil.clean", "filter.evil.process", "filter.evil.smudge", "core.fsmonitor"),
        *("diff.evil.textconv", "diff.evil.command", "diff.external", "core.pager", "gpg.program"),
        *("core.sshCommand", "core.editor", "alias.add", "core.hooksPath"),
    ):
        git(code.there, "config", key, str(evil.parent if "hooks" in key else evil))
    git(code.there, "config", "commit.gpgSign", "true")
    for hook in ("post-checkout", "pre-commit", "post-index-change", "fsmonitor-watchman"):
        (code.there / ".git" / "hooks").mkdir(exist_ok=True)
        (code.there / ".git" / "hooks" / hook).symlink_to(evil)
    (code.there / "a.txt").write_text("two\n")
    run = code.patch()
    assert b"+two" in run.stdout
    assert not (code.host.path / "ran").exists()


def test_links_out_of_the_repository_tell_nothing(code: Code) -> None:
    code.take()
    secret = code.host.path / "secret"
    secret.write_text("the secret")
    (code.there / "link").symlink_to(secret)
    run = code.patch()
    assert b"the secret" not in run.stdout
    assert str(secret).encode() in run.stdout, "the link itself is a change"


@pytest.mark.parametrize(
    ("name", "commit", "words"),
    [
        ("task-1", "0" * 40, "the bundle has no commit"),
        ("task-1", "HEAD", "this is no commit"),
        ("task-1", "a" * 39, "the 40 digits"),
        ("../x", "a" * 40, "usage"),
        (".ssh", "a" * 40, "no name of code"),
        ("-b", "a" * 40, "no name of code"),
        ("a" * 65, "a" * 40, "say a name"),
    ],
)
def test_what_cannot_be_taken_leaves_nothing(
    code: Code, name: str, commit: str, words: str
) -> None:
    run = code.take(name, commit)
    assert run.returncode != 0
    assert words in run.stderr.decode()
    assert list((code.host.home / "work").iterdir()) == []


def test_code_that_is_there_stays(code: Code) -> None:
    code.take()
    (code.there / "a.txt").write_text("mine\n")
    assert b"already" in code.take().stderr
    assert (code.there / "a.txt").read_text() == "mine\n"


def test_what_is_no_bundle_is_refused(code: Code) -> None:
    run = code.verb(f"take-code task-1 {code.commit}", b"# v2 git bundle\n\nPACKx")
    assert run.returncode == 1
    assert b"no bundle" in run.stderr


def test_too_much_is_refused(code: Code) -> None:
    program = code.host.path / "agent-code"
    text = program.read_text()
    assert "most=67108864" in text
    program.write_text(text.replace("most=67108864", "most=100"))
    assert b"more than 100 bytes" in code.take().stderr
    assert list((code.host.home / "work").iterdir()) == []


def test_without_code_there_is_no_patch(code: Code) -> None:
    run = code.patch()
    assert run.returncode == 1
    assert b"there is no code called task-1" in run.stderr
