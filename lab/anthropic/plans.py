"""The steps that the lab's Claude splits a goal into, where the goal says them itself:

    plan: KEY@HOST: PROMPT; KEY@HOST<KEY,KEY: PROMPT; …

Without `@HOST` a step may run anywhere; what follows `<` are the steps that it comes after.
"""

from __future__ import annotations

import re
from typing import Any

TOOL = "StructuredOutput"  # what Claude Code calls it for `--json-schema`
_GOAL = re.compile(r"^plan: (.+)$", re.MULTILINE)
_STEP = re.compile(
    r"\s*(?P<key>[\w.-]+)(?:@(?P<host>[\w.-]+))?(?:<(?P<after>[\w.,-]+))?\s*:\s*(?P<prompt>.+)",
    re.S,
)


def plan_of(prompt: str) -> dict[str, Any] | None:
    """What a plan's form wants; None where the prompt asks for no plan, or not in these words."""
    goal = _GOAL.search(prompt)
    if goal is None:
        return None
    found = [_STEP.fullmatch(one) for one in goal[1].split(";") if one.strip()]
    steps = [_step(one) for one in found if one]
    return {"steps": steps} if steps and len(steps) == len(found) else None


def _step(said: re.Match[str]) -> dict[str, Any]:
    prompt = said["prompt"].strip()
    return {
        "key": said["key"],
        "title": prompt[:60],
        "prompt": prompt,
        "where": {"host": said["host"]} if said["host"] else {},
        "after": said["after"].split(",") if said["after"] else [],
    }
