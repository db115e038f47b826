"""This machine itself: Python, its packages, pyinfra, what the terminal can show."""

from __future__ import annotations

import importlib.metadata
import locale
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from fleet.doctor.check import Check, fault, fine, run, tidy, warning

VENV = "make venv"
NAMED = 5  # packages; more are counted
PRINTED = "…→●─é"  # of all that commands print, what a terminal may not know


def python(root: Path, version: tuple[int, ...] = sys.version_info[:3]) -> Iterator[Check]:
    """Whether it is new enough for pyproject.toml."""
    shown = ".".join(str(part) for part in version)
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    least = re.search(r'^requires-python = ">=(\d+)\.(\d+)"', text, re.MULTILINE)
    if least and version[:2] < (int(least[1]), int(least[2])):
        wanted = f"{least[1]}.{least[2]}"
        fix = f"make venv PYTHON=python{wanted}"
        yield fault("Python", f"{shown}, and agentfleet needs {wanted} or newer", fix)
        return
    inside = "in a virtual environment" if sys.prefix != sys.base_prefix else "the system's own"
    yield fine("Python", f"{shown}, {inside}: {sys.executable}")


def packages(root: Path) -> Iterator[Check]:
    """Whether what is installed is what requirements.lock says."""
    locked = _locked((root / "requirements.lock").read_text(encoding="utf-8"))
    needed = _needed((root / "pyproject.toml").read_text(encoding="utf-8"))
    there = {name: _installed(name) for name in locked}
    missing = [name for name, version in there.items() if version is None]
    other = [
        f"{name} {version} instead of {locked[name]}"
        for name, version in there.items()
        if version not in (None, locked[name])
    ]
    if lacking := [name for name in missing if name in needed]:
        yield fault("packages", f"not installed: {_some(lacking)}", VENV)
    elif missing:
        yield warning("packages", f"not installed, for development: {_some(missing)}", VENV)
    if other:
        yield warning("packages", f"not as requirements.lock says: {_some(other)}", VENV)
    if not missing and not other:
        yield fine("packages", f"all {len(locked)} as requirements.lock says")


def _locked(text: str) -> dict[str, str]:
    """Name → version of a lock file of pip's."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE))


def _needed(text: str) -> set[str]:
    """The names of what pyproject.toml needs when it runs."""
    block = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r'"([A-Za-z0-9._-]+)', block[1])) if block else set()


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _some(words: list[str]) -> str:
    rest = len(words) - NAMED
    return ", ".join(words[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def pyinfra() -> Iterator[Check]:
    """Whether pyinfra starts; in a process of its own, since it changes the one it is in."""
    said = run([sys.executable, "-c", "import pyinfra_cli.main"])
    if said.code:
        last = tidy(said.stderr.strip().rpartition("\n")[2])
        yield fault("pyinfra", f"does not start: {last}", VENV)
    else:
        yield fine("pyinfra", f"{_installed('pyinfra') or 'of unknown version'} starts")


def terminal(encodings: Iterable[str] | None = None) -> Iterator[Check]:
    """Whether what commands print can be shown."""
    used = encodings or (_of(sys.stdout), _of(sys.stderr), locale.getpreferredencoding(False))
    lacking = [name for name in dict.fromkeys(used) if not _knows(name)]
    if lacking:
        says = f"{', '.join(lacking)} knows not all that is printed, which comes as \\u2026 instead"
        yield warning("terminal", says, "export LC_ALL=C.UTF-8")
    else:
        yield fine("terminal", f"shows all that is printed ({next(iter(used))})")


def _of(stream: object) -> str:
    return getattr(stream, "encoding", None) or "ascii"


def _knows(encoding: str) -> bool:
    try:
        PRINTED.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True
