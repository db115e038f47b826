"""The code that a task works on, and the patch that comes back. Pure; git is never run here.

A bundle is taken apart by the agent's host, as the agent (agentctl take-code). What is checked here
is that it is one, and that it names what it is sent for, so that faults show before money is spent.
"""

from __future__ import annotations

import re

from orchestrator.tasks.model import Code, Patch
from orchestrator.tasks.records import FILE_LIMIT

PATCH_LIMIT = 8 << 20  # bytes
_SIGNATURES = (b"# v2 git bundle\n", b"# v3 git bundle\n")
_HEADER_LIMIT = 1 << 20
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LINE = re.compile(rb"(?P<needed>-)?(?P<commit>[0-9a-f]{40})(?: (?P<words>[^\n]*))?")


class BadCodeError(Exception):
    """A bundle or a patch is none that could be used; the text says why."""


def check_bundle(code: Code, content: bytes) -> None:
    """Whether a bundle is whole enough to be sent. Raises BadCodeError."""
    if not _COMMIT.fullmatch(code.commit):
        raise BadCodeError("a commit is 40 hexadecimal digits")
    if len(content) > FILE_LIMIT:
        raise BadCodeError(f"a git bundle may have {FILE_LIMIT >> 20} MB")
    if not content.startswith(_SIGNATURES):
        raise BadCodeError("this is no git bundle")
    end = content.find(b"\n\n", 0, _HEADER_LIMIT)
    if end < 0 or content[end + 2 : end + 6] != b"PACK":
        raise BadCodeError("the git bundle is cut short: it has no pack")
    commits = {_named(line) for line in content[:end].split(b"\n")[1:]}
    if code.commit not in commits:
        raise BadCodeError(f"the git bundle does not name {code.commit[:12]}")


def _named(line: bytes) -> str:
    """The commit that a line of the header names, if it does."""
    if line == b"@object-format=sha1":  # version 3 says so
        return ""
    found = _LINE.fullmatch(line)
    if not found:
        raise BadCodeError("the git bundle is of a kind that hosts do not take")
    if found["needed"]:
        raise BadCodeError("the git bundle is not the whole history: it needs other commits")
    return str(found["commit"].decode())


def read_patch(attempt: int, base: str, content: bytes) -> Patch | None:
    """What came back, counted; None when nothing was changed. Raises BadCodeError."""
    if len(content) > PATCH_LIMIT:
        raise BadCodeError(f"the patch is longer than {PATCH_LIMIT >> 20} MB")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise BadCodeError("the patch is not in UTF-8") from None
    if not text.strip():
        return None
    if "\0" in text:
        raise BadCodeError("the patch is no text")
    lines = text.split("\n")
    commits = sum(bool(re.fullmatch(r"From [0-9a-f]{40} .*", line)) for line in lines)
    files = {line for line in lines if line.startswith("diff --git ")}
    if not files and not commits:
        raise BadCodeError("what came back is no patch")
    return Patch(attempt, base, text, commits, len(files))
