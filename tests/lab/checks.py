"""`fleet check` on a lab: its items, and which of them are red."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

from tests.lab import runs

SETTLE_S = 90.0  # a daemon that was restarted is back at the scheduler, a page has asked everybody

Items = dict[str, dict[str, Any]]  # by name
Fleet = Callable[..., subprocess.CompletedProcess[str]]  # the `fleet` command on some lab


def check(*words: str, fleet: Fleet = runs.fleet) -> Items:
    """Every item, and the exit code fits them."""
    done = fleet("check", "--json", *words)
    assert "Traceback" not in done.stderr, done.stderr
    found = {one["item"]: one for one in json.loads(done.stdout)}
    failed = any(one["verdict"] == "failed" for one in found.values())
    asleep = any(one["verdict"] == "pending" for one in found.values())
    assert done.returncode == (1 if failed else 3 if asleep else 0), done.stderr
    return found


def red(found: Items) -> set[str]:
    """What has failed, or waits for a host."""
    return {name for name, one in found.items() if one["verdict"] in ("failed", "pending")}


def settles(wanted: set[str], *words: str, fleet: Fleet = runs.fleet) -> Items:
    """The items, once just those are red."""
    deadline = time.monotonic() + SETTLE_S
    while red(found := check(*words, fleet=fleet)) != wanted:
        said = {name: found[name]["evidence"] for name in red(found) ^ wanted if name in found}
        assert time.monotonic() < deadline, (red(found), said)
        time.sleep(3)
    return found
