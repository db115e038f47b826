"""A round of the monitoring: everybody is asked, it is judged, and changes are told.

Its rounds are processes: a round that hangs or dies takes nothing with it but itself.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from orchestrator.configuration import load as load_config
from orchestrator.health import alerts, delivery
from orchestrator.health.inside import plain
from orchestrator.health.judge import judge
from orchestrator.health.looks import looks
from orchestrator.health.model import (
    Expected,
    Item,
    Outside,
    Verdict,
    read_expected,
    read_outside,
)
from orchestrator.health.state import State, StateError, load, save
from orchestrator.sessions import Agents

log = logging.getLogger("health")
OUTSIDE_S = 180.0  # how old may be what the page's account has seen
LOG_MOST, LOG_KEPT = 1 << 20, 4  # bytes of the log file; files beside it
OUTSIDE_UNIT = "agentfleet-outside"


@dataclass(frozen=True)
class Config:
    """See deploys/monitoring.py, which renders it. `others` are the hosts with an address."""

    fleet: str
    expected: Expected
    others: Agents
    script: str  # says how this host is
    outside: Path  # what the page's account sees of the others
    state: Path
    log: Path


def read_config(path: Path) -> Config:
    """Read the file. Raises ConfigError."""
    return load_config(path, _config)


def _config(said: Mapping[str, Any]) -> Config:
    ssh = said["ssh"]
    return Config(
        fleet=said["fleet"],
        expected=read_expected(said["expected"]),
        others=Agents(ssh["key"], ssh["known_hosts"], ssh["user"], said["hosts"]),
        script=said["script"],
        outside=Path(said["outside"]),
        state=Path(said["state"]),
        log=Path(said["log"]),
    )


def run(config: Config) -> int:
    """One round, to its end; returns the exit code, which says nothing of the fleet."""
    _log_to(config.log)
    to, began = delivery.addresses(_credentials()), time.time()
    before = _remembered(config.state)
    inside = looks(config.others, config.expected.orchestrator, config.script)
    items = judge(config.expected, inside, outside(config.outside, began))
    after, changes = next_state(config, before, items, (began, time.time()), _channels(to))
    for one in changes:
        log.warning("%s", one.line)
    save(config.state, after)  # first of all: whatever is sent is known to wait
    save(config.state, deliver(config.state, after, to))
    _tell_of(after)
    if heartbeat := to.get(delivery.HEARTBEAT):
        _complain(delivery.HEARTBEAT, delivery.beat(heartbeat))
    return 0


def next_state(
    config: Config,
    before: State,
    items: Sequence[Item],
    when: tuple[float, float],
    channels: Sequence[str],
) -> tuple[State, tuple[alerts.Change, ...]]:
    """What is remembered after a round that lasted from `when` to `when`, and its changes. Pure."""
    began, ended = when
    hosts = {host.name for host in config.expected.hosts}
    tracks, changes = alerts.compare(before.tracks, items, hosts, ended)
    outbox = _without(before.outbox, channels)
    if before.crashed and channels:
        outbox = alerts.post(outbox, _works_again(config.fleet, channels, ended))
    message = alerts.compose(config.fleet, changes, channels, ended)
    after = State(
        began=began,
        ended=ended,
        items=tuple(items),
        tracks=tracks,
        outbox=alerts.post(outbox, message),
        faults={name: fault for name, fault in before.faults.items() if name in channels},
    )
    return after, changes


def _without(
    outbox: Sequence[alerts.Message], channels: Collection[str]
) -> tuple[alerts.Message, ...]:
    """The messages that wait, without the channels that are no longer there."""
    kept = (replace(one, left=tuple(c for c in one.left if c in channels)) for one in outbox)
    return tuple(one for one in kept if one.left)


def _works_again(fleet: str, channels: Sequence[str], now: float) -> alerts.Message:
    words = "ok again: a round of the monitoring has come to its end"
    return alerts.note(f"{fleet}: the monitoring works again", (words,), 0, channels, now)


def deliver(path: Path, state: State, to: Mapping[str, str]) -> State:
    """Send what waits, the oldest first. What arrived is remembered at once, before the next."""
    silent = set[str]()  # a channel that fails waits for the next round
    for message in state.outbox:
        reachable = {name: where for name, where in to.items() if name not in silent}
        faults = delivery.send(message, reachable)
        silent |= {name for name, fault in faults.items() if fault}
        arrived = [name for name, fault in faults.items() if not fault]
        for name, fault in faults.items():
            _complain(name, fault)
        outbox = alerts.tried(state.outbox, message.id, arrived) if faults else state.outbox
        state = replace(state, outbox=outbox, faults={**state.faults, **faults})
        save(path, state)
    return state


def failed(config: Config) -> int:
    """A round came to no end: say so, once until one does."""
    _log_to(config.log)
    log.critical("a round came to no end: journalctl -u agentfleet-health")
    to, state, now = delivery.addresses(_credentials()), _remembered(config.state), time.time()
    if state.crashed:
        return 0
    advice = f"fleet logs {config.expected.orchestrator} agentfleet-health"
    words = (f"FAILED: a round of the monitoring came to no end -> {advice}",)
    channels = _channels(to)
    if channels:
        message = alerts.note(f"{config.fleet}: the monitoring fails", words, 2, channels, now)
        state = replace(state, outbox=alerts.post(state.outbox, message))
    state = replace(state, crashed=now)
    save(config.state, state)
    save(config.state, deliver(config.state, state, to))
    return 0


def outside(path: Path, now: float) -> Outside:
    """What was seen by the account that may talk to agents, in the unit that ran just before."""
    fault = f"what it sees of the others is not known: journalctl -u {OUTSIDE_UNIT}"
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if not 0 <= now - float(said["at"]) < OUTSIDE_S:
            return Outside(fault=fault)
        return read_outside(said["outside"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Outside(fault=fault)


def _remembered(path: Path) -> State:
    """A state that cannot be read is begun anew: then every fault is told once more."""
    try:
        return load(path)
    except StateError as error:
        log.error("begins anew: %s", plain(str(error)))
        with suppress(OSError):
            path.replace(path.with_name(f"{path.name}.odd"))
        return State()


def _channels(to: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name in delivery.CHANNELS if name in to)


def _credentials() -> Path | None:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) if folder else None


def _complain(channel: str, fault: str) -> None:
    if fault:
        log.error("%s: %s", channel, fault)


def _tell_of(state: State) -> None:
    """A line for what is not well, and one that says how much there is."""
    counts = {one: sum(item.verdict is one for item in state.items) for one in Verdict}
    for item in state.items:
        if item.verdict in (Verdict.WARNING, Verdict.FAILED):
            log.info("%s %s: %s", item.verdict.value, item.name, plain(item.evidence))
    said = ", ".join(f"{number} {one.value}" for one, number in counts.items() if number)
    log.info("%d items in %.1f s: %s", len(state.items), state.ended - state.began, said)


def _log_to(path: Path) -> None:
    """The journal, and a file that outlives it; httpx would log every address."""
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    handlers[0].setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    try:
        file = RotatingFileHandler(path, maxBytes=LOG_MOST, backupCount=LOG_KEPT, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(file)
    except OSError as error:
        logging.getLogger("health").error("%s: %s", path, error.strerror)
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.WARNING)
