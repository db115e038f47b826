"""The orchestrator's programs and all that they import, as one file that any Python 3.11 runs.

The packages are those of this installation, which `requirements.lock` pins by digest: what was
tested here is what runs there, and nothing is downloaded for it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution
from pathlib import Path

from fleet.problems import FleetError

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "orchestrator"
# What the package imports.
REQUIRED = (
    "fastjsonschema",
    "httpx",
    "jinja2",
    "prometheus-client",
    "python-multipart",
    "starlette",
    "uvicorn",
)
_MAIN = "import sys\nfrom orchestrator.cli import main\nsys.exit(main())\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a zip archive can state
_NATIVE = (".so", ".pyd", ".dylib")
# What only makes a package faster, which does without: its compiled modules, and their sources.
_DISPENSABLE = ("markupsafe/_speedups.",)
_FIX = "install the packages of requirements.lock anew: make clean venv"


@cache
def orchestrator_bundle() -> bytes:
    """The zip application: the same bytes on every machine with the same requirements.lock.

    Raises FleetError when a package is missing, was changed, or is not for every machine.
    """
    contents = {"__main__.py": _MAIN.encode()}
    for path in sorted((ROOT / PACKAGE).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            contents[path.relative_to(ROOT).as_posix()] = path.read_bytes()
    for name in sorted(_closure(REQUIRED)):
        contents |= dict(_files(name))
    buffer = io.BytesIO()
    # Stored, not deflated: zlibs differ in what they make of the same bytes.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(contents):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), contents[name])
    return buffer.getvalue()


def _closure(names: tuple[str, ...]) -> set[str]:
    """The distributions and all that they need here, extras left out."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = _normal(waiting.pop())
        if name in found:
            continue
        found.add(name)
        waiting += [
            re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
            for requirement in _distribution(name).requires or ()
            if _holds_everywhere(requirement)
        ]
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _holds_everywhere(requirement: str) -> bool:
    """Whether it is needed: not by an extra, not by another system, an older Python included.

    A backport that a newer Python does without does no harm there.
    """
    marker = requirement.partition(";")[2]
    return not re.search(r"extra\s*==|sys_platform\s*==|platform_system\s*==", marker) and not (
        re.search(r"python_version\s*<=?\s*['\"]3\.(?:[0-9]|10|11)['\"]", marker)
    )


def _distribution(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise FleetError.of(name, "this Python package is not installed", _FIX) from None


def _files(name: str) -> Iterator[tuple[str, bytes]]:
    """A distribution's modules and data, each compared with the digest it was installed with."""
    for file in _distribution(name).files or ():
        where = file.as_posix()
        if where.startswith(("..", "/")) or ".dist-info/" in where or "__pycache__" in where:
            continue
        if where.startswith(_DISPENSABLE):
            continue
        if where.endswith(_NATIVE):
            fix = "the orchestrator's bundle is for every machine: use a version without it"
            raise FleetError.of(name, f"{where} is for this machine alone", fix)
        yield where, _sound(name, file)


def _sound(name: str, file: PackagePath) -> bytes:
    content = Path(str(file.locate())).read_bytes()
    if file.hash is None or file.hash.mode != "sha256":
        raise FleetError.of(name, f"nobody noted the digest of {file}", _FIX)
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    if digest != file.hash.value:
        raise FleetError.of(name, f"{file} is not what was installed", _FIX)
    return content
