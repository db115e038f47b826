"""deploy.py with a mistake that locks everybody out: keys that nobody has, and a short window."""

from __future__ import annotations

from dataclasses import replace

from deploys import operators
from fleet.converge import converge
from fleet.resources import Resources
from fleet.view import HostView
from tests.lab.runs import SHORT_WINDOW_S

NOBODYS = (
    b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFnZW50ZmxlZXQgZ29sZGVuIG9wZXJhdG9yIGtleSEh nobody\n"
)
_right = operators.resources


def _wrong(view: HostView) -> Resources:
    want = _right(view)
    assert want.guard
    (keys,) = want.files
    return replace(
        want,
        files=(replace(keys, content=NOBODYS),),
        guard=replace(want.guard, window_s=SHORT_WINDOW_S),
    )


operators.resources = _wrong

converge(operators)
