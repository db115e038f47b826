"""The hosts of bench/simulated.py for pyinfra: each answers after a while, and does nothing else.

pyinfra bench/simulated_inventory.py deploy.py --dry, with FLEET_FILE, and with SIMULATED_ANSWERS
as bench/plan60.py writes them.
"""

import json
import os
from functools import cache
from pathlib import Path

import fleet.converge
from bench.simulated import simulated_target
from fleet.kinds import broad_groups
from fleet.plan import view_of
from fleet.view import HostView

DELAY_S = 0.05  # of a remote execution on a LAN
PREFIX = "@fake/"


@cache
def _view(name: str) -> HostView:
    return view_of(fleet.converge._target(), name.removeprefix(PREFIX))


fleet.converge._view = _view
fleet.converge.load_target = simulated_target  # type: ignore[attr-defined]
_answers = json.loads(Path(os.environ["SIMULATED_ANSWERS"]).read_text())
_groups: dict[str, list[tuple[str, dict[str, object]]]] = {}
for _host in simulated_target().fleet.hosts:
    _data: dict[str, object] = {
        "fake_delay": DELAY_S,
        "fake_delay_jitter": 0,
        "fake_responses": {"sh -s": _answers[_host.name]},
    }
    for _group in (*broad_groups(_host.role), _host.role.value):
        _groups.setdefault(_group, []).append((f"{PREFIX}{_host.name}", _data))
globals().update(_groups)
