"""`fleet-health-check`: a round now, by the unit that does them all, and what it found."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict

from orchestrator.health.inside import plain
from orchestrator.health.model import Item, Verdict
from orchestrator.health.monitor import Config
from orchestrator.health.state import State, StateError, load

UNIT = "agentfleet-health.service"
ROUND_S = 400.0  # more than the unit itself may take
EXITS = {Verdict.FAILED: 1, Verdict.PENDING: 3}  # as `fleet check` has them; 1 beats 3
COLUMNS = ("HOST", "ITEM", "", "EVIDENCE", "NEXT")


class RoundError(Exception):
    """There was no round; the text says why, and what to do."""


def run(config: Config, *, as_json: bool) -> int:
    """Do a round and print what it found; returns the exit code. Raises RoundError."""
    before = _state(config).ended
    _round()
    state = _state(config)
    if state.ended == before:
        raise RoundError(f"the round has found nothing: journalctl -u {UNIT}")
    print(json.dumps([_as_dict(one) for one in state.items]) if as_json else table(state.items))
    codes = {EXITS.get(one.verdict, 0) for one in state.items}
    return min(codes - {0}, default=0)


def _round() -> None:
    """The unit's account, and its sandbox. One that is at it is waited for."""
    command = ["systemctl", "start", UNIT]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ROUND_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RoundError(f"systemctl start {UNIT}: {type(error).__name__}") from None
    if done.returncode:
        said = plain(done.stderr) or f"exit code {done.returncode}"
        raise RoundError(f"{said}; see journalctl -u {UNIT}; who may start it is root: use sudo")


def _state(config: Config) -> State:
    try:
        return load(config.state)
    except StateError as error:
        raise RoundError(f"{error}: use sudo") from None


def table(items: Sequence[Item]) -> str:
    """What is not well, and how many items there are."""
    shown = [one for one in items if one.verdict is not Verdict.OK]
    rows = [COLUMNS] if shown else []
    rows += [
        (one.host or "-", one.kind, one.verdict.value, plain(one.evidence), plain(one.advice))
        for one in shown
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(len(COLUMNS))]
    lines = [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    counts = [f"{n} {v.value}" for v in Verdict if (n := sum(one.verdict is v for one in items))]
    return "\n".join((*lines, f"{len(items)} items: {', '.join(counts)}"))


def _as_dict(one: Item) -> dict[str, str]:
    return {"item": one.name, **asdict(one), "verdict": one.verdict.value}
