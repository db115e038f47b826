"""Claude Code in the fleet's version on every host, and the settings that no user can overrule."""

from __future__ import annotations

from deploys import budget
from facts.look import Look
from fleet.kinds import AGENT_ROLES
from fleet.pins import missing, program
from fleet.resources import File, Program, Resources
from fleet.view import HostView

NAME = "claude-code"
MEMBER = "package/claude"  # in the npm package of a platform: one program that needs no Node
WRAPPER = "/usr/local/bin/claude"  # before /usr/bin, and behind a person's own ~/.local/bin


def resources(view: HostView) -> Resources:
    """The program, the command that starts it, the machine's settings for it."""
    if missing(view, NAME):
        return Resources()
    claude = program(view, NAME, file="claude", member=MEMBER)
    return Resources(programs=(claude,), files=(_wrapper(view, claude), _settings(view)))


def unavailable(view: HostView, look: Look) -> str:
    """Why there is no Claude Code for this host: it is not pinned."""
    return missing(view, NAME)


def _wrapper(view: HostView, claude: Program) -> File:
    return view.file(
        WRAPPER,
        "claude_code/claude.sh.j2",
        mode="0755",
        check="sh -n {path}",
        values={"program": claude},
    )


def _settings(view: HostView) -> File:
    """What holds for every user. Where no person works, no hooks but ours run.

    An agent may write its own settings, and a hook there could let through what ours stop.
    """
    return view.file(
        view.settings.claude_settings,
        "claude_code/managed-settings.json.j2",
        check="! command -v jq >/dev/null || jq -e . {path} >/dev/null",
        values={
            "gated": budget.NAME in view.capabilities,
            "unattended": view.host.role in AGENT_ROLES,
            "events": budget.EVENTS,
            "gate": budget.program_path(view),
        },
    )
