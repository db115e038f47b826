"""npm packages by name, with this machine's own npm: the published digest, and the archive."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from fleet.digest import Digest, from_integrity
from fleet.lock import Voucher
from fleet.problems import FetchError, show

_OFFLINE = ("ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT")
VIEW_S = 180.0  # npm retries by itself
# Anything else (a tag, a range, an address) is another file tomorrow.
_EXACT = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?")


def integrity(package: str, version: str) -> Digest | None:
    """The digest that the registry publishes; None for old packages that have none.

    Raises FetchError when the registry cannot be asked or does not know the version.
    """
    said = _npm(["view", _spec(package, version), "dist.integrity", "--json"], None, VIEW_S)
    try:
        # Silent success: an old npm does not know the version, or there is no such field.
        found = json.loads(said) if said.strip() else ""
    except ValueError:
        raise FetchError(f"npm says {show(said.strip())}", "update npm") from None
    return from_integrity(found, Voucher.NPM) if isinstance(found, str) else None


def newest(package: str) -> tuple[str, dict[str, str]]:
    """The version that the registry calls latest, and when each was published (RFC 3339).

    Raises FetchError when the registry cannot be asked, or says something else.
    """
    said = _npm(["view", package, "version", "time", "--json"], None, VIEW_S)
    try:
        found = json.loads(said)
        version, times = found["version"], found.get("time")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise FetchError(f"npm says {show(said.strip())}", f"npm view {package}") from None
    if not isinstance(version, str) or not _EXACT.fullmatch(version):
        raise FetchError(f"npm calls {show(version)} the latest {package}", _versions(package))
    return version, times if isinstance(times, dict) else {}


def archive(package: str, version: str, scratch: Path) -> Path:
    """Fetch the package's archive into `scratch`, which is empty; no script of it is run."""
    options = ["--json", "--pack-destination", str(scratch), "--ignore-scripts"]
    _npm(["pack", _spec(package, version), *options], scratch)
    found = list(scratch.glob("*.tgz"))
    if len(found) != 1:
        raise FetchError(f"npm brought no archive of {package} {version}", _versions(package))
    return found[0]


def _spec(package: str, version: str) -> str:
    if not _EXACT.fullmatch(version):
        fault = f"{show(version)} is not one version of an npm package"
        raise FetchError(fault, _versions(package))
    return f"{package}@{version}"


def _versions(package: str) -> str:
    return f"see which there are: npm view {package} versions"


def _npm(arguments: list[str], folder: Path | None, timeout: float | None = None) -> str:
    """What npm says on standard output. Raises FetchError with its own words when it fails."""
    try:
        run = subprocess.run(
            ["npm", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise FetchError("there is no npm here", "install npm; it comes with Node.js") from None
    except subprocess.TimeoutExpired:
        fault = f"npm did not answer within {timeout:.0f} s"
        raise FetchError(fault, "check this machine's network") from None
    if run.returncode:
        raise _failure(run, arguments[1])
    return run.stdout


def _failure(run: subprocess.CompletedProcess[str], spec: str) -> FetchError:
    package = spec.rpartition("@")[0]
    try:
        error = json.loads(run.stdout)["error"]
        code, summary = str(error["code"]), str(error["summary"]).strip().splitlines()[0]
    except (ValueError, TypeError, KeyError, IndexError):
        lines = [line for line in run.stderr.splitlines() if line.strip()]
        code, summary = "", lines[-1] if lines else f"exit code {run.returncode}"
    if code in ("E404", "ETARGET"):
        return FetchError(f"npm knows no {spec}", _versions(package))
    if code in _OFFLINE:
        fix = "check this machine's network and npm's configuration"
        return FetchError(f"npm says: {summary}", fix)
    if code == "ENOSPC":
        return FetchError(f"npm says: {summary}", "make room on the disk")
    return FetchError(f"npm says: {summary}", f"see what it says to: npm view {spec}")
