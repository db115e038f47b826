"""pyinfra runs over the test lab, with everything a test wants to know of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.target import LAB, ROOT

NAME_SWITCH = "FLEET_TEST_LAB"  # environment: another lab for the tests, to run them beside others
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")  # a number, or alone
NAME = (os.environ.get(NAME_SWITCH) or "test") + WORKER  # beside a demo lab that may be up
SMALL = f"small-{NAME}"  # for those tests that want another fleet
LONGEST_S = 900
SHORT_WINDOW_S = 12  # how long deploy_locks_out.py and deploy_shuts_ssh.py give us to confirm
KEEP_SWITCH = "FLEET_TEST_KEEP"  # environment: keep the converged lab from one test run to the next
KEEP = bool(os.environ.get(KEEP_SWITCH))


@dataclass(frozen=True)
class Run:
    """How a run ended: `changes` by host, remote executions by host: `counts`, and by `kinds`."""

    code: int
    output: str
    changes: dict[str, list[str]]
    counts: dict[str, int]
    kinds: dict[str, dict[str, int]]


def environment(fleet_file: Path | None = None, lab: str = NAME) -> dict[str, str]:
    """What a process needs to work on the test lab (or `lab`), perhaps with another fleet file."""
    found = {**os.environ, "FLEET_LAB": lab, "FLEET_TARGET": LAB, "PYINFRA_PROGRESS": "off"}
    return found | ({"FLEET_FILE": str(fleet_file)} if fleet_file else {})


def start(
    *arguments: str,
    fleet_file: Path | None = None,
    deploy: str = "deploy.py",
    lab: str = NAME,
    scratch: Path,
) -> subprocess.Popen[str]:
    """A run in the background that leaves its records in `scratch`."""
    command = [sys.executable, "-m", "bench.counted", str(scratch / "counts.json")]
    return subprocess.Popen(
        [*command, "lab/inventory.py", deploy, *arguments],
        cwd=ROOT,
        env=environment(fleet_file, lab) | {"FLEET_RECORDS": str(scratch / "records")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def converge(
    *arguments: str,
    fleet_file: Path | None = None,
    deploy: str = "deploy.py",
    lab: str = NAME,
    dry: bool = False,
) -> Run:
    """Run to the end; `dry` plans only, otherwise changes are made without asking."""
    how = "--dry" if dry else "-y"
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        more: dict[str, Any] = {"fleet_file": fleet_file, "deploy": deploy, "lab": lab}
        process = start(how, *arguments, scratch=scratch, **more)
        output, _ = process.communicate(timeout=LONGEST_S)
        counts = json.loads((scratch / "counts.json").read_text())
        changes = _changes(scratch / "records")
    return Run(
        process.returncode,
        output,
        changes,
        {host: sum(kinds.values()) for host, kinds in counts.items()},
        counts,
    )


def fleet(
    *arguments: str, fleet_file: Path | None = None, lab: str = NAME
) -> subprocess.CompletedProcess[str]:
    """The `fleet` command on the test lab."""
    return subprocess.run(
        [sys.executable, "-m", "fleet", "--lab", *arguments],
        cwd=ROOT,
        env=environment(fleet_file, lab),
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_S,
    )


def _changes(records: Path) -> dict[str, list[str]]:
    changes: dict[str, list[str]] = {}
    for line in records.read_text().splitlines() if records.exists() else ():
        record: dict[str, Any] = json.loads(line)
        if record["event"] == "change":
            changes.setdefault(record["host"], []).extend(record["changes"])
    return changes
