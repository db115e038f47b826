"""The agent's own gate: it tells it in words what is left, and stops it before the gateway must.

What binds is the gateway; an agent with root can remove the gate, and is cut off all the same.
"""

from __future__ import annotations

from deploys import gateway
from fleet.resources import File, Resources
from fleet.view import HostView

NAME = "budget"
EVENTS = ("PreToolUse", "PostToolUse", "UserPromptSubmit")  # of Claude Code, at which it is asked


def resources(view: HostView) -> Resources:
    """The hook program that Claude Code's managed settings name (deploys/claude_code.py)."""
    return Resources(files=(program(view),))


def program(view: HostView) -> File:
    """The hook program; it is called with the event's name."""
    return view.file(
        program_path(view),
        "budget/budget-gate.sh.j2",
        mode="0755",
        check="sh -n {path}",
        values={"gateway": gateway.url(view)},
    )


def program_path(view: HostView) -> str:
    """Where Claude Code finds it."""
    return f"{view.settings.libexec_dir}/budget-gate"
