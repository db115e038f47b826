"""A program that answers as Claude Code 2.1.330 does: see orchestrator/tasks/thinker.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_PROGRAM = """\
#!{python}
import json, os, sys, time
said = {{"arguments": sys.argv[1:], "stdin": sys.stdin.read(), "environment": dict(os.environ),
         "cwd": os.getcwd(), "home": os.listdir(os.environ["HOME"])}}
with open({record!r}, "a") as file:
    file.write(json.dumps(said) + "\\n")
time.sleep({seconds})
sys.stdout.write({output!r})
sys.exit({code})
"""


def claude(folder: Path, said: object, code: int = 0, seconds: float = 0) -> Path:
    """The program; what it was asked is in the file `asked` beside it."""
    output = said if isinstance(said, str) else json.dumps(said) + "\n"
    path = folder / "claude"
    path.write_text(
        _PROGRAM.format(
            python=sys.executable,
            record=str(folder / "asked"),
            seconds=seconds,
            output=output,
            code=code,
        )
    )
    path.chmod(0o755)
    return path


def asked(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "asked").read_text().splitlines()[-1])
    return found


def success(output: object, cost: float = 0.005) -> dict[str, Any]:
    return {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "num_turns": 2,
        "stop_reason": "tool_use",
        "terminal_reason": "completed",
        "total_cost_usd": cost,
        "api_error_status": None,
        "result": json.dumps(output),
        "structured_output": output,
    }


IN_WORDS = {key: value for key, value in success("").items() if key != "structured_output"} | {
    "result": "Done, I said.",
    "stop_reason": "end_turn",
}
API_ERROR = IN_WORDS | {
    "is_error": True,
    "total_cost_usd": 0,
    "api_error_status": 402,
    "terminal_reason": "api_error",
    "result": "API Error: 402 budget: this session has spent $1.00 of its $1.00",
}
NO_FIT = {
    "type": "result",
    "subtype": "error_max_structured_output_retries",
    "is_error": True,
    "total_cost_usd": 0.025,
    "errors": ["Failed to provide valid structured output after 5 attempts"],
}
