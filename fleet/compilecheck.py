"""The check of the compile cluster: asks clients, judges pairs, remembers which are green."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import click

from fleet.cache import cache_dir
from fleet.cluster import Node
from fleet.compileplan import Job, Lack, Pair, fingerprint, jobs, lacks, pairs
from fleet.compileproof import LIMIT_S, Proof, Told, prove, read, script
from fleet.kinds import Power
from fleet.plan import view_of
from fleet.problems import FleetError, printable
from fleet.ssh import Answer, as_login, route
from fleet.target import LAB, Target

AT_ONCE = 3  # clients; each keeps one worker busy at a time
LOGIN_S = 30.0
_STEPS = 3  # of a job that may take LIMIT_S each: compile, link, run


class State(StrEnum):
    """What is the matter with a pair, or with a client."""

    GREEN = "green"
    UNCHANGED = "unchanged"  # green before, and as it was
    OFF = "off"
    BLOCKED = "blocked"
    FAILED = "failed"


@dataclass(frozen=True)
class Cell:
    """A client with a worker: how that went, and how long its slowest job took."""

    client: str
    worker: str
    state: State
    seconds: float = 0
    reason: str = ""
    proofs: tuple[Proof, ...] = ()


@dataclass(frozen=True)
class Client:
    """A client: whether it could be asked."""

    name: str
    state: State
    reason: str = ""


@dataclass(frozen=True)
class Found:
    """Everything that was found out."""

    cells: tuple[Cell, ...]
    clients: tuple[Client, ...]
    lacks: tuple[Lack, ...]

    @property
    def holes(self) -> bool:
        """Whether a client cannot do what it should; one that is off is not asked for more."""
        off = {one.name for one in self.clients if one.state is State.OFF}
        lacking = any(lack.is_hole and lack.client not in off for lack in self.lacks)
        return lacking or bool(self._states & {State.FAILED, State.BLOCKED})

    @property
    def sleepers(self) -> bool:
        """Whether something could not be tried because a host is off that may be."""
        return State.OFF in self._states

    @property
    def _states(self) -> set[State]:
        return {one.state for one in self.cells} | {one.state for one in self.clients}


@dataclass(frozen=True)
class Cluster:
    """What scheduler and quarantine say: the nodes by name; who is kept out, and why."""

    nodes: Mapping[str, Node]
    blocked: Mapping[str, str]
    strangers: Mapping[str, str]


@dataclass
class Check:
    """A check of some clients."""

    target: Target
    cluster: Cluster
    chosen: Sequence[str]
    known: Mapping[str, str] = field(default_factory=dict)  # what need not be tried again
    _off: dict[str, bool] = field(default_factory=dict)
    _asking: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> Found:
        """Ask the clients, some at once. An interrupt ends what runs, and nothing new begins."""
        cells: list[Cell] = []
        seen: list[Client] = []
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            try:
                for client, of_client in pool.map(self._client, self.chosen):
                    seen.append(client)
                    cells += of_client
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        missing = tuple(one for one in lacks(self.target.fleet) if one.client in self.chosen)
        return Found(tuple(cells), tuple(seen), missing)

    def _client(self, name: str) -> tuple[Client, list[Cell]]:
        """All pairs of a client, over one connection."""
        mine = [pair for pair in pairs(self.target.fleet) if pair.client == name]
        settled = {pair: cell for pair in mine if (cell := self._settled(pair))}
        if mine and [cell.state for cell in settled.values()] == [State.UNCHANGED] * len(mine):
            return Client(name, State.UNCHANGED), list(settled.values())
        to_do = [pair for pair in mine if pair not in settled]
        listed = tuple(job for pair in to_do for job in jobs(pair))
        client, told = self._ask(name, listed)
        for pair in to_do:
            if client.state is State.GREEN or told:  # what was done before a cut counts
                settled[pair] = self._judge(pair, listed, told)
            else:
                settled[pair] = Cell(name, pair.worker, client.state, reason=client.reason)
        return client, [settled[pair] for pair in mine]

    def _settled(self, pair: Pair) -> Cell | None:
        """What is known of a pair without trying it."""
        client, worker = pair.client, pair.worker
        if why := self.cluster.blocked.get(worker):
            return Cell(client, worker, State.BLOCKED, reason=why)
        if why := self.cluster.strangers.get(worker):
            return Cell(client, worker, State.FAILED, reason=why)
        if worker in self.cluster.nodes:
            same = self.known.get(key(pair)) == fingerprint(self.target.fleet, pair)
            return Cell(client, worker, State.UNCHANGED) if same else None
        if self._is_off(worker):
            return Cell(client, worker, State.OFF, reason=f"{worker} is off")
        return Cell(client, worker, State.FAILED, reason="the scheduler does not list it")

    def _is_off(self, worker: str) -> bool:
        """Whether a worker that the scheduler does not have is off, and may be."""
        host = self.target.fleet.host(worker)
        if host.power is Power.ALWAYS_ON:
            return False
        with self._asking:  # once, whichever client needs it first
            if worker not in self._off:
                answer = as_login(route(host, self.target), "exit\n", LOGIN_S, _pass_over)
                self._off[worker] = answer.nobody_there
        return self._off[worker]

    def _ask(self, name: str, listed: tuple[Job, ...]) -> tuple[Client, dict[str, Told]]:
        """Let a client do its jobs."""
        view = view_of(self.target, name)
        limit = LOGIN_S + LIMIT_S * _STEPS * (len(listed) + len({job.id for job in listed}))
        lines: list[str] = []

        def heard(line: str) -> None:
            if self._stop.is_set():
                raise InterruptedError(name)
            lines.append(line)
            if progress := _progress(name, listed, line):
                click.echo(progress, err=True)

        answer = as_login(route(view.host, self.target), script(view, listed), limit, heard)
        told = read(lines)
        if answer.nobody_there and view.host.power is not Power.ALWAYS_ON:
            return Client(name, State.OFF, f"{name} is off"), told
        if "end" in lines:
            return Client(name, State.GREEN), told
        why = printable(cut_off(answer))
        return Client(name, State.FAILED, why), told

    def _judge(self, pair: Pair, listed: tuple[Job, ...], told: Mapping[str, Told]) -> Cell:
        """How a pair went, from what its client told."""
        client, worker = (self.target.fleet.host(one) for one in (pair.client, pair.worker))
        at = self.cluster.nodes[worker.name].address
        proofs = tuple(
            prove(job, told.get(str(number)), told.get(job.id), at, client.arch, worker.arch)
            for number, job in enumerate(listed)
            if job.worker == worker.name
        )
        reasons: dict[str, list[str]] = {}
        for one in proofs:
            if one.reason:
                reasons.setdefault(one.reason, []).append(f"{one.compiler} {one.language}")
        reason = "; ".join(f"{', '.join(what)}: {why}" for why, what in reasons.items())
        state = State.FAILED if reasons else State.GREEN
        seconds = max((one.seconds for one in proofs), default=0)
        return Cell(client.name, worker.name, state, seconds, reason, proofs)


def _pass_over(line: str) -> None:
    """Nobody wants to know."""


def cut_off(answer: Answer) -> str:
    """Why a client's script did not come to its end."""
    said = answer.stderr.splitlines()
    return said[-1] if said else f"its script ended early, with {answer.code}"


def _progress(client: str, listed: Sequence[Job], line: str) -> str:
    """What a line means to somebody who waits; empty: nothing."""
    what, _, number = line.partition(" ")
    if what != "try" or not number.isdecimal() or int(number) >= len(listed):
        return ""
    job = listed[int(number)]
    return f"{client} → {job.worker}: {job.program} ({int(number) + 1} of {len(listed)}) …"


def key(pair: Pair) -> str:
    """The name of a pair in the memory."""
    return f"{pair.client} {pair.worker}"


@dataclass(frozen=True)
class Memory:
    """Which pairs were green, and what they were proved with: a file in the user's cache."""

    path: Path

    @classmethod
    def of(cls, target: Target) -> Memory:
        """The memory of a target: a lab's hosts are not the fleet's."""
        name = f"{target.fleet.name}{'.lab' if target.name == LAB else ''}.json"
        return cls(cache_dir() / "compile-check" / name)

    def read(self) -> dict[str, str]:
        """Fingerprints by pair. A file that is none is forgotten: everything is tried again."""
        try:
            found = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {str(name): value for name, value in found.items() if isinstance(value, str)}

    def learn(self, target: Target, cells: Sequence[Cell]) -> None:
        """Remember what is green, forget what is not; what was not tried stays as it was.

        Raises FleetError.
        """
        known = self.read()
        planned = {key(pair): pair for pair in pairs(target.fleet)}
        for cell in cells:
            name = f"{cell.client} {cell.worker}"
            if cell.state is State.GREEN:
                known[name] = fingerprint(target.fleet, planned[name])
            elif cell.state in (State.FAILED, State.BLOCKED):
                known.pop(name, None)
        text = json.dumps(
            {name: known[name] for name in sorted(known) if name in planned}, indent=1
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part = self.path.with_suffix(".part")
            part.write_text(f"{text}\n")
            part.replace(self.path)
        except OSError as error:
            fix = "make it writable, or name another directory: AGENTFLEET_CACHE"
            fault = f"cannot be written: {error.strerror}"
            raise FleetError.of(str(self.path), fault, fix) from None
