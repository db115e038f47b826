"""What every host gets is what was reviewed, byte for byte, on every machine."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.target import ROOT
from tests.golden import (
    BOOTSTRAP,
    HOSTS,
    IMAGES,
    POLICY,
    UPDATE,
    consoles,
    pictures,
    policy,
    render,
    views,
)

NAMES = sorted(views())
SHOWN_LINES = 60


@pytest.mark.parametrize("name", NAMES)
def test_the_host_gets_what_was_reviewed(name: str) -> None:
    _as_reviewed(HOSTS / f"{name}.txt", render()[name], name)


def test_the_tailnet_gets_what_was_reviewed() -> None:
    _as_reviewed(POLICY, policy().encode(), "policy")


@pytest.mark.parametrize("name", sorted(consoles()))
def test_a_fresh_machine_is_given_what_was_reviewed(name: str) -> None:
    _as_reviewed(BOOTSTRAP / name, consoles()[name].encode(), name)


def test_no_script_is_left_of_a_host_that_is_gone() -> None:
    assert sorted(path.name for path in BOOTSTRAP.iterdir()) == sorted(consoles())


@pytest.mark.parametrize("name", sorted(pictures()))
def test_the_pictures_in_the_docs_show_this_fleet(name: str) -> None:
    _as_reviewed(IMAGES / name, pictures()[name].encode(), name)


def _as_reviewed(path: Path, now: bytes, name: str) -> None:
    reviewed = path.read_bytes() if path.exists() else b""
    if now != reviewed:
        pytest.fail(f"{_diff(reviewed, now, name)}\n\nIf that is meant: {UPDATE}", pytrace=False)


def _diff(reviewed: bytes, now: bytes, name: str) -> str:
    old, new = (text.decode(errors="backslashreplace").splitlines() for text in (reviewed, now))
    lines = list(difflib.unified_diff(old, new, f"{name}: reviewed", f"{name}: now", lineterm=""))
    rest = len(lines) - SHOWN_LINES
    return "\n".join(lines[:SHOWN_LINES] + ([f"… and {rest} more lines"] if rest > 0 else []))


def test_no_golden_file_is_left_of_a_host_that_is_gone() -> None:
    assert sorted(path.stem for path in HOSTS.glob("*.txt")) == NAMES, f"run {UPDATE}"


def test_golden_files_hold_the_nine_hosts() -> None:
    assert len(NAMES) == 9


def test_the_render_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "import hashlib; from tests.golden import pictures, render\n"
        "for name, text in render().items(): print(name, hashlib.sha256(text).hexdigest())\n"
        "for name, text in pictures().items():\n"
        "    print(name, hashlib.sha256(text.encode()).hexdigest())"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": "C", "TZ": "Asia/Tokyo"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "4242")
    ]
    here = {name: hashlib.sha256(text).hexdigest() for name, text in render().items()}
    here |= {name: hashlib.sha256(text.encode()).hexdigest() for name, text in pictures().items()}
    for process in running:
        printed, _ = process.communicate(timeout=30)
        assert dict(line.split() for line in printed.splitlines()) == here


def test_no_code_knows_a_host() -> None:
    """The same code serves a fleet of 2 or of 60; only fleet.yaml has names."""
    knowing = [
        str(path.relative_to(ROOT))
        for path in _sources()
        if set(re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", path.read_text(errors="replace")))
        & set(NAMES)
    ]
    assert knowing == []


def _sources() -> list[Path]:
    kinds = ("fleet", "facts", "operations", "deploys", "orchestrator", "templates", "group_data")
    found = [path for kind in kinds for path in sorted((ROOT / kind).rglob("*"))]
    assert len(found) > 50
    return [path for path in found if path.is_file() and "__pycache__" not in path.parts] + [
        ROOT / "deploy.py",
        ROOT / "inventory.py",
    ]
