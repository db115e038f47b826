"""Runs pyinfra over some hosts as a process of its own, and hears what it tells meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from fleet.plan import ONLY
from fleet.problems import FleetError
from fleet.run import Run, handed_on
from fleet.target import LAB, Target
from operations.records import RECORDS

Event = Mapping[str, Any]
PAUSE_S = 0.1  # between two looks at what is told
STOP_S = 10.0  # for a process that was told to end at once
LOG_SHOWN = 20  # lines of a log, where pyinfra itself broke
DEPLOY = "deploy.py"
INVENTORY = "FLEET_INVENTORY"  # environment: another inventory file, for tests and benches


@dataclass(frozen=True)
class Outcome:
    """How it ended. `stopped`: an interrupt ended it before it was through."""

    events: tuple[Event, ...]
    code: int
    stopped: bool = False


class Runner:
    """Starts pyinfra for a target; what it prints goes to `log`.

    `only` names the capabilities that its runs touch; empty: all. `deploy` is what is carried out.
    """

    def __init__(
        self,
        target: Target,
        run: Run,
        log: Path,
        only: frozenset[str] = frozenset(),
        deploy: str = DEPLOY,
    ) -> None:
        self.target, self._run, self.log, self._only, self._deploy = target, run, log, only, deploy

    def look(self, names: Sequence[str], heard: Callable[[Event], None]) -> Outcome:
        """A dry run with diffs. `heard` gets each event as it comes.

        Raises FleetError when pyinfra itself fails, KeyboardInterrupt when the user says so.
        """
        # --json: without a terminal pyinfra would ask about hosts that fail, and break.
        with self._started(names, ("--dry", "--diff", "--json")) as (process, records):
            return self._follow(process, records, heard, gently=False)

    def change(self, names: Sequence[str], heard: Callable[[Event], None]) -> Outcome:
        """A run that changes hosts. An interrupt ends it where every host is consistent.

        Raises FleetError when pyinfra itself fails.
        """
        with self._started(names, ("-y", "--diff")) as (process, records):
            return self._follow(process, records, heard, gently=True)

    def _started(self, names: Sequence[str], how: tuple[str, ...]) -> _Started:
        inventory = "lab/inventory.py" if self.target.name == LAB else "inventory.py"
        limits = [word for name in names for word in ("--limit", name)]
        command = [sys.executable, "-m", "fleet.engine", os.environ.get(INVENTORY) or inventory]
        environment = {"FLEET_TARGET": self.target.name, "PYINFRA_PROGRESS": "off"}
        environment |= handed_on(self._run)
        environment |= {ONLY: ",".join(sorted(self._only))} if self._only else {}
        return _Started([*command, self._deploy, *how, *limits], environment, self)

    def _follow(
        self,
        process: subprocess.Popen[bytes],
        records: Path,
        heard: Callable[[Event], None],
        *,
        gently: bool,
    ) -> Outcome:
        told, events, stopped = _Lines(records), [], False
        while True:
            try:
                over = process.poll() is not None
                for event in told.new():
                    events.append(event)
                    heard(event)
                if over:
                    break
                time.sleep(PAUSE_S)
            except KeyboardInterrupt:
                if not gently:
                    raise
                # The second time it ends at once, as pyinfra does it.
                process.send_signal(signal.SIGINT if stopped else signal.SIGTERM)
                stopped = True
                heard({"event": "stopping", "host": ""})
        if process.returncode not in (0, 1) and not stopped:
            self._broke(f"pyinfra ended with {process.returncode}")
        if not events:
            self._broke("pyinfra did not get as far as the hosts")
        return Outcome(tuple(events), process.returncode, stopped)

    def _broke(self, fault: str) -> None:
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_SHOWN:]
        said = "\n".join(line for line in lines if line.strip())
        raise FleetError.of("pyinfra", fault, f"its last words are in {self.log}\n{said}")


class _Started:
    """A process that hears no interrupt of the terminal, and is gone when the block is left."""

    def __init__(self, command: list[str], environment: dict[str, str], runner: Runner) -> None:
        self._command, self._environment, self._runner = command, environment, runner

    def __enter__(self) -> tuple[subprocess.Popen[bytes], Path]:
        self._scratch = tempfile.TemporaryDirectory(prefix="agentfleet-run-")
        records = Path(self._scratch.name) / "records"
        self._log: TextIO = self._runner.log.open("a")
        self.process = subprocess.Popen(
            self._command,
            cwd=self._runner.target.root,
            env={**os.environ, **self._environment, RECORDS: str(records)},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        return self.process, records

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()
        self._scratch.cleanup()


class _Lines:
    """The lines of a file that grows, each once it is whole."""

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0

    def new(self) -> Iterator[Event]:
        """What has come since this was asked last."""
        if not self._path.exists():
            return
        with self._path.open("rb") as stream:
            stream.seek(self._read)
            found = stream.read()
        whole, newline, _ = found.rpartition(b"\n")
        self._read += len(whole) + len(newline)
        for line in whole.splitlines():
            yield json.loads(line)
